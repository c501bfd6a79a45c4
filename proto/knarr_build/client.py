"""Asking a runtime for a build over its socket, and showing how it goes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from knarr_build import context
from knarr_build.ignore import Patterns
from knarr_proto.runtime.v1 import images_pb2, images_pb2_grpc

MAX_DOCKERFILE_BYTES = 1 << 20
MAX_SECRET_BYTES = 500 << 10
PROGRESS = ("auto", "plain")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """directory: None for a build without context. dockerfile: its text; dockerfile_name is for messages."""

    dockerfile: bytes
    dockerfile_name: str
    directory: Path | None
    patterns: Patterns
    tags: tuple[str, ...] = ()
    target: str = ""
    platform: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, bytes] = field(default_factory=dict)
    no_cache: bool = False
    pull: bool = False
    auths: Mapping[str, Any] = field(default_factory=dict)
    """images_pb2.RegistryAuth by registry."""


def opened(directory: str, dockerfile: str, stdin: IO[bytes], **more: Any) -> Request:
    """From the words of a command line: ``-`` as directory is a Dockerfile on stdin without context, ``-`` as
    dockerfile one with the directory as context. Raises ContextError."""
    if directory == "-":
        if dockerfile not in ("", "-"):
            raise context.ContextError('the Dockerfile comes from stdin when the context is "-": leave out -f')
        return Request(
            dockerfile=_limited(stdin, "-"), dockerfile_name="Dockerfile", directory=None, patterns=Patterns(()), **more
        )
    root = Path(directory)
    if not root.is_dir():
        raise context.ContextError(f'unable to prepare context: "{directory}" is not a directory')
    if dockerfile == "-":
        text, name, path = _limited(stdin, "-"), "Dockerfile", None
    else:
        path = Path(dockerfile) if dockerfile else root / "Dockerfile"
        if dockerfile and not path.exists() and not path.is_absolute() and (root / dockerfile).exists():
            path = root / dockerfile
        name = path.name if path.parent == root else str(path)
        try:
            with open(path, "rb") as file:
                text = _limited(file, str(path))
        except OSError as error:
            raise context.ContextError(f"unable to read the Dockerfile {path}: {error.strerror}") from error
    return Request(dockerfile=text, dockerfile_name=name, directory=root, patterns=context.ignored(root, path), **more)


def build_args(given: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Of ``--build-arg``: ``NAME=VALUE``, or ``NAME`` with the value of the environment, if it has one."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not name:
            raise context.ContextError(f'--build-arg "{text}": must be NAME or NAME=VALUE')
        if equals or name in environment:
            found[name] = value if equals else environment[name]
    return found


def pairs(given: Iterable[str], option: str) -> dict[str, str]:
    """``NAME=VALUE``; without ``=`` the value is empty. Raises ContextError."""
    found: dict[str, str] = {}
    for text in given:
        name, _, value = text.partition("=")
        if not name:
            raise context.ContextError(f'{option} "{text}": must be NAME=VALUE')
        found[name] = value
    return found


def secrets(given: Iterable[str], environment: Mapping[str, str]) -> dict[str, bytes]:
    """Of ``--secret``: ``id=NAME,src=FILE`` or ``id=NAME,env=VARIABLE``. Raises ContextError."""
    found: dict[str, bytes] = {}
    for text in given:
        fields = dict(part.partition("=")[::2] for part in text.split(","))
        identifier = fields.pop("id", "")
        source = fields.pop("src", "") or fields.pop("source", "")
        variable = fields.pop("env", "")
        fields.pop("type", None)
        if not identifier or fields or bool(source) == bool(variable):
            raise context.ContextError(f'--secret "{text}": must be id=NAME,src=FILE or id=NAME,env=VARIABLE')
        if variable:
            if variable not in environment:
                raise context.ContextError(f'--secret "{text}": there is no variable {variable}')
            found[identifier] = environment[variable].encode(errors="surrogateescape")
            continue
        try:
            with open(source, "rb") as file:
                found[identifier] = file.read(MAX_SECRET_BYTES + 1)
        except OSError as error:
            raise context.ContextError(f'--secret "{text}": {error.strerror}') from error
        if len(found[identifier]) > MAX_SECRET_BYTES:
            raise context.ContextError(f'--secret "{text}": has more than {MAX_SECRET_BYTES} bytes')
    return found


def build(channel: Any, request: Request, show: Callable[[Any], None]) -> str:
    """Runs the build; ``show`` gets every BuildResponse. Returns the image's id. Raises grpc.RpcError, ContextError.

    Interrupting it (closing the channel, KeyboardInterrupt) ends the build on the server.
    """
    stub: Any = images_pb2_grpc.BuildsStub(channel)
    failures: list[context.ContextError] = []
    call = stub.Build(_requests(request, failures))
    image_id = ""
    try:
        for answer in call:
            image_id = answer.image_id or image_id
            show(answer)
    finally:
        call.cancel()
        if failures:
            raise failures[0]
    return image_id


def _requests(request: Request, failures: list[context.ContextError]) -> Iterator[Any]:
    yield images_pb2.BuildRequest(
        start=images_pb2.BuildStart(
            tags=request.tags,
            dockerfile=request.dockerfile_name,
            dockerfile_text=request.dockerfile,
            target=request.target,
            platform=request.platform,
            args=dict(request.args),
            labels=dict(request.labels),
            secrets=dict(request.secrets),
            no_cache=request.no_cache,
            pull=request.pull,
            auths=dict(request.auths),
        )
    )
    if request.directory is None:
        return
    try:
        for piece in context.packed(request.directory, request.patterns):
            yield images_pb2.BuildRequest(context=piece)
    except context.ContextError as error:
        failures.append(error)
        raise


def _limited(file: IO[bytes], name: str) -> bytes:
    data = file.read(MAX_DOCKERFILE_BYTES + 1)
    if len(data) > MAX_DOCKERFILE_BYTES:
        raise context.ContextError(f"the Dockerfile {name} has more than {MAX_DOCKERFILE_BYTES} bytes")
    return data


class Display:
    """Output to a terminal or file: lines as they come; transfers of base images in one line where ``live``."""

    def __init__(self, out: IO[str], *, live: bool, quiet: bool = False) -> None:
        self._out = out
        self._live = live
        self._quiet = quiet
        self._transfers: dict[str, tuple[int, int]] = {}
        self._dirty = False

    @staticmethod
    def to_stderr(progress: str = "auto", quiet: bool = False) -> Display:
        return Display(sys.stderr, live=progress == "auto" and sys.stderr.isatty(), quiet=quiet)

    def __call__(self, answer: Any) -> None:
        if self._quiet:
            return
        if answer.HasField("transfer"):
            self._transfer(answer.transfer)
        elif answer.line or not answer.image_id:
            self._clear()
            self._out.write(f"{_printable(answer.line)}\n")
            self._out.flush()

    def _transfer(self, transfer: Any) -> None:
        if self._live:
            self._transfers[transfer.id] = (transfer.current_bytes, transfer.total_bytes)
            done = sum(current for current, _ in self._transfers.values())
            total = sum(whole for _, whole in self._transfers.values())
            self._out.write(f"\r\x1b[K{_printable(transfer.status)}  {done / 1e6:.1f} of {total / 1e6:.1f} MB")
            self._out.flush()
            self._dirty = True
        elif transfer.status not in ("Downloading", "Extracting", ""):
            self._out.write(f"{transfer.id[7:19]}: {_printable(transfer.status)}\n".removeprefix(": "))

    def _clear(self) -> None:
        if self._dirty:
            self._out.write("\r\x1b[K")
        self._dirty = False


def _printable(text: str) -> str:
    """Colours may pass, what moves the cursor or sets titles may not: the output is that of somebody's program."""
    kept: list[str] = []
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\x1b":
            end = position + 2
            while end < len(text) and text[end] in "0123456789;":
                end += 1
            if text[position + 1 : position + 2] == "[" and text[end : end + 1] == "m":
                kept.append(text[position : end + 1])
                position = end + 1
                continue
        elif character == "\t" or (character.isprintable() or character == "\xa0"):
            kept.append(character)
        position += 1
    return "".join(kept)
