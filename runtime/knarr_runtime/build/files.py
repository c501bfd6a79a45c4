"""COPY and ADD, in two parts: find and fingerprint the sources; then put them into the stage's root. Blocking."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from knarr_build.ignore import Patterns
from knarr_runtime.build import copying, fetch, tree, untar
from knarr_runtime.build.copying import Copier, Ownership
from knarr_runtime.errors import Invalid
from knarr_runtime.kernel import paths

Root = Callable[[], AbstractContextManager[int]]
"""Opens the tree that sources are in."""


@dataclass(frozen=True, slots=True)
class Source:
    """One path that a source names; named: it is the name itself, not one of the matches of a wildcard."""

    root: Root
    path: str
    fingerprint: str
    archive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Inline:
    name: str
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Everything in it is expanded. target: absolute; a slash at its end says that it is a directory."""

    sources: tuple[Source, ...]
    inline: tuple[Inline, ...]
    target: str
    exclude: Patterns
    keyword: str = "COPY"


def target_path(text: str, working_dir: str) -> str:
    """Absolute, with a slash at its end if ``text`` means a directory."""
    joined = os.path.normpath(os.path.join("/", working_dir, text))
    joined = "/" + joined.lstrip("/")
    return f"{joined.rstrip('/')}/" if copying.is_directory_name(text) else joined


def find(root: Root, names: tuple[str, ...], exclude: Patterns, *, archives: bool) -> list[Source]:
    """archives: what is a tar is marked, as ADD unpacks it. Raises Invalid."""
    found: list[Source] = []
    with root() as descriptor:
        for name in names:
            for path in tree.select(descriptor, name):
                archive = archives and _is_archive(descriptor, path)
                found.append(Source(root, path, tree.fingerprint(descriptor, path, exclude), archive))
    return found


def check(job: Job, names: int) -> None:
    """names: how many sources the instruction has. Raises Invalid."""
    if names > 1 and not job.target.endswith("/"):
        raise Invalid(
            f"when using {job.keyword} with more than one source file, the destination must be a directory "
            "and end with a /"
        )


def put(job: Job, root: int, ownership: Ownership, archived: Ownership) -> None:
    """archived: of what is in archives, which have owners of their own. Raises Invalid, OSError."""
    copier = Copier(root, ownership, job.exclude)
    into = job.target.endswith("/")
    if len(job.sources) + len(job.inline) > 1 and not into and not copier.is_directory(job.target):
        raise Invalid(
            f'"{job.target}": when using {job.keyword} with more than one source file, the destination must be '
            "a directory and end with a /"
        )
    for source in job.sources:
        with source.root() as descriptor:
            if source.archive:
                _unpack(descriptor, source.path, root, job.target, archived)
            else:
                copier.copy(descriptor, source.path, job.target, into=into)


def put_inline(job: Job, root: int, ownership: Ownership, workspace: Path) -> None:
    """Here-documents, as files named after them."""
    if not job.inline:
        return
    directory = workspace / f"inline-{os.urandom(4).hex()}"
    directory.mkdir()
    copier = Copier(root, ownership, job.exclude)
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for one in job.inline:
            path = directory / one.name
            path.write_bytes(one.content)
            path.chmod(0o644)
            os.utime(path, (0, 0))
            copier.copy(descriptor, one.name, job.target, into=job.target.endswith("/"))
    finally:
        os.close(descriptor)


def _is_archive(root: int, path: str) -> bool:
    with tree.opened(root, path) as (_, status):
        if not stat.S_ISREG(status.st_mode):
            return False
    with os.fdopen(paths.open_inside(root, "/" + path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        return untar.decompressed(file) is not None


def _unpack(source_root: int, path: str, root: int, target: str, ownership: Ownership) -> None:
    directory = copying.make_directories(root, target, ownership)
    try:
        with os.fdopen(paths.open_inside(source_root, "/" + path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
            archive = untar.decompressed(file)
            if archive is None:
                raise Invalid(f'"{path}": is no archive any more')
            owner = None
            if ownership.uid is not None and ownership.gid is not None:
                owner = (ownership.uid, ownership.gid)
            untar.extract(archive, directory, limits=untar.Limits(), owner=owner, devices=True)
    finally:
        os.close(directory)


def download(url: str, checksum: str, workspace: Path, cancelled: Callable[[], bool]) -> tuple[Path, str]:
    """(directory, name) of what ADD of a URL copies. Raises Invalid, Unavailable."""
    if fetch.is_git(url):
        raise Invalid(f'ADD "{url}": git repositories can not be added; clone it beside the Dockerfile')
    directory = workspace / f"download-{os.urandom(4).hex()}"
    directory.mkdir()
    try:
        name = fetch.file_name(url)
    except Invalid:
        name = "download"
    fetch.fetch(url, checksum, directory / name, cancelled)
    return directory, name
