"""The instructions of a Dockerfile as values; variables in them are not replaced yet."""

from __future__ import annotations

from dataclasses import dataclass

from knarr_runtime.build.lines import Heredoc, Line

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instruction:
    line: Line


@dataclass(frozen=True, slots=True, kw_only=True)
class From(Instruction):
    image: str
    name: str = ""
    platform: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg(Instruction):
    """A default of None: only the name is declared."""

    names: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Env(Instruction):
    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class Label(Instruction):
    pairs: Pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class RunMount:
    """kind: bind, cache, tmpfs or secret. source: in ``from_`` (a stage, an image, or "" for the context).

    env: the variable that gets a secret; ``target`` is "" when it is not wanted as a file.
    """

    kind: str
    target: str
    source: str = "/"
    from_: str = ""
    id: str = ""
    env: str = ""
    readonly: bool = False
    sharing: str = "shared"
    required: bool = False
    mode: int = 0o755
    uid: int = 0
    gid: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Instruction):
    """shell: ``args`` is one text for the shell. heredocs: what the text opens."""

    shell: bool
    args: tuple[str, ...]
    mounts: tuple[RunMount, ...] = ()
    network: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy(Instruction):
    """COPY, and ADD (``add``). inline: sources that are here-documents, each with its file name."""

    add: bool
    sources: tuple[str, ...]
    target: str
    inline: tuple[Heredoc, ...] = ()
    from_: str = ""
    chown: str = ""
    chmod: str = ""
    checksum: str = ""
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Workdir(Instruction):
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Instruction):
    user: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Command(Instruction):
    """CMD, and ENTRYPOINT (``entrypoint``)."""

    entrypoint: bool
    shell: bool
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Expose(Instruction):
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume(Instruction):
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopSignal(Instruction):
    signal: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell(Instruction):
    args: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Healthcheck(Instruction):
    """test: as in the configuration, ``("NONE",)``, ``("CMD", …)`` or ``("CMD-SHELL", text)``; 0 is the default."""

    test: tuple[str, ...]
    interval_ns: int = 0
    timeout_ns: int = 0
    start_period_ns: int = 0
    start_interval_ns: int = 0
    retries: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Onbuild(Instruction):
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Maintainer(Instruction):
    author: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """``name`` is "" for one without; ``index`` counts from 0."""

    index: int
    name: str
    base: From
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dockerfile:
    """args: those before the first FROM. notes: what the user should be told."""

    name: str
    escape: str
    args: tuple[Arg, ...]
    stages: tuple[Stage, ...]
    notes: tuple[str, ...] = ()
