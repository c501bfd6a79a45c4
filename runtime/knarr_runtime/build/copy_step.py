"""The instructions COPY and ADD: their sources found, the key made of what is in them, the files put into the layer."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from knarr_build.ignore import Patterns
from knarr_runtime.build import fetch, files, modes, rootfs, words
from knarr_runtime.build.copying import Ownership
from knarr_runtime.build.instructions import Copy
from knarr_runtime.build.lines import Heredoc
from knarr_runtime.build.steps import StageRun, directory_root
from knarr_runtime.build.threads import in_thread
from knarr_runtime.errors import Invalid


async def copy(stage: StageRun, instruction: Copy) -> None:
    """Raises Invalid, Unavailable for a URL that does not answer."""
    names = tuple(stage.expanded(one) for one in instruction.sources)
    patterns = tuple(stage.expanded(pattern) for pattern in instruction.exclude)
    chown, chmod = stage.expanded(instruction.chown), stage.expanded(instruction.chmod)
    mode = modes.parse(chmod)
    exclude = _patterns(patterns)
    job = files.Job(
        sources=tuple(await _sources(stage, instruction, names, exclude)),
        inline=tuple(files.Inline(name=one.name, content=_content(stage, one)) for one in instruction.inline),
        target=files.target_path(stage.expanded(instruction.target), stage.draft.working_dir),
        exclude=exclude,
        keyword=instruction.line.keyword,
    )
    files.check(job, len(names) + len(job.inline))
    if not job.sources and not job.inline:  # as BuildKit, which says nothing
        await stage.tools.output.line(f" ---> Nothing matches {' '.join(names)}: nothing is copied")
    depends: dict[str, Any] = {
        "sources": [[source.path, source.fingerprint, source.archive] for source in job.sources],
        "inline": [[one.name, hashlib.sha256(one.content).hexdigest()] for one in job.inline],
        "target": job.target,
        "owner": [chown, chmod],
        "exclude": patterns,
    }
    shown = " ".join((*instruction.line.flags, *names, *(f"<<{one.name}" for one in job.inline)))
    created_by = f"{job.keyword} {shown} {stage.expanded(instruction.target)}"

    def make(upper: Path) -> None:
        uid: int | None = None
        gid: int | None = None
        if chown:
            with stage.root() as below:
                uid, gid = rootfs.find_owner(below, chown)
        archived = Ownership(uid=uid, gid=gid, mode=mode)
        # What comes from an image keeps its owners, what comes from elsewhere belongs to root.
        ownership = archived if chown or instruction.from_ else Ownership(uid=0, gid=0, mode=mode)
        with stage.root(upper) as root:
            files.put(job, root, ownership, archived)
            files.put_inline(job, root, ownership, stage.tools.workspace)

    await stage.layer(depends, created_by, lambda upper: in_thread(make, upper))


async def _sources(stage: StageRun, instruction: Copy, names: tuple[str, ...], exclude: Patterns) -> list[files.Source]:
    """In the order local, then URLs."""
    urls = tuple(name for name in names if instruction.add and (fetch.is_url(name) or fetch.is_git(name)))
    local = tuple(name for name in names if name not in urls)
    if instruction.checksum and (len(urls) != 1 or local):
        raise Invalid("checksum can't be specified for anything but one URL")
    found: list[files.Source] = []
    if local:
        root = await stage.tools.source(instruction.from_)
        found += await in_thread(files.find, root, local, exclude, archives=instruction.add)
    for url in urls:
        checksum = stage.expanded(instruction.checksum)
        directory, name = await in_thread(files.download, url, checksum, stage.tools.workspace, stage.tools.cancelled)
        found += await in_thread(files.find, directory_root(directory), (name,), exclude, archives=False)
    return found


def _content(stage: StageRun, heredoc: Heredoc) -> bytes:
    content = heredoc.content
    if heredoc.expand:
        content = words.expand_text(content, stage.variables, stage.dockerfile.escape)
    return content.encode("utf-8", "surrogateescape")


def _patterns(patterns: tuple[str, ...]) -> Patterns:
    try:
        return Patterns(patterns)
    except ValueError as error:
        raise Invalid(f"--exclude: {error}") from None
