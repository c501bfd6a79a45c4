"""One stage, instruction by instruction: what each changes in the configuration, and which layer it makes.

A step's key is a hash of the state before it and of all that the step depends on; the state after it is the key and
the layer that came of it. So a step is taken from the cache only after exactly the layers it was made on.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from knarr_runtime.build import diff, files, rootfs, words
from knarr_runtime.build import instructions as given
from knarr_runtime.build.cache import Cache, Step
from knarr_runtime.build.copying import make_directories
from knarr_runtime.build.imageconfig import Draft, Layer
from knarr_runtime.build.instructions import Dockerfile, Instruction
from knarr_runtime.build.running import Runner
from knarr_runtime.build.threads import in_thread
from knarr_runtime.errors import Invalid

Make = Callable[[Path], Awaitable[None]]
KEY_VERSION = 1


class Output(Protocol):
    async def line(self, text: str) -> None: ...

    def begin(self, step: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A stage, or an image as one. base: directories of the image's layers, topmost first; own: layers on top."""

    draft: Draft
    base: tuple[str, ...] = ()
    own: tuple[Layer, ...] = ()
    state: str = ""
    triggers: tuple[str, ...] = ()

    def lower(self, cache: Cache) -> tuple[str, ...]:
        """All directories, topmost first. Blocking."""
        return (*(str(cache.directory(layer)) for layer in reversed(self.own)), *self.base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Of one build. created: the time of steps that run now. latest_s: no file of a layer is later."""

    args: dict[str, str]
    created: str
    latest_s: int | None
    no_cache: bool


@dataclass(slots=True, kw_only=True)
class Tools:
    """What a stage works with. source: the tree that ``--from`` names; "" is the context."""

    cache: Cache
    runner: Runner
    output: Output
    workspace: Path
    source: Callable[[str], Awaitable[files.Root]]
    cancelled: Callable[[], bool]
    locks: dict[str, asyncio.Lock]
    secrets: Mapping[str, bytes]


class StageRun:
    """Changes as instructions are carried out; ``made`` is the state now."""

    def __init__(
        self, dockerfile: Dockerfile, made: Made, settings: Settings, tools: Tools, defaults: dict[str, str]
    ) -> None:
        self.dockerfile = dockerfile
        self.made = made
        self.settings = settings
        self.tools = tools
        self._global = defaults
        self._args: dict[str, str] = {}
        self.args_used: set[str] = set()

    @property
    def draft(self) -> Draft:
        return self.made.draft

    @property
    def variables(self) -> dict[str, str]:
        return {**self._args, **self.draft.env}

    def expanded(self, text: str) -> str:
        return words.expand(text, self.variables, self.dockerfile.escape)

    async def carry_out(self, instruction: Instruction) -> None:
        """Raises Invalid, WrongState for a program that failed."""
        if isinstance(instruction, given.Run):
            from knarr_runtime.build.run_step import run

            await run(self, instruction)
        elif isinstance(instruction, given.Copy):
            from knarr_runtime.build.copy_step import copy

            await copy(self, instruction)
        elif isinstance(instruction, given.Workdir):
            await self._working_dir(self.expanded(instruction.path))
        elif isinstance(instruction, given.Arg):
            self._arg(instruction)
            await self._metadata(self.draft, f"ARG {instruction.line.rest}")
        else:
            await self._metadata(*self._changed(instruction))

    def _arg(self, instruction: given.Arg) -> None:
        for name, default in instruction.names:
            self.args_used.add(name)
            if name in self.settings.args:
                self._args[name] = self.settings.args[name]
            elif default is not None:
                self._args[name] = self.expanded(default)
            elif name in self._global:
                self._args[name] = self._global[name]

    def _changed(self, instruction: Instruction) -> tuple[Draft, str]:
        """The draft after an instruction that makes no layer, and how the history calls it."""
        draft, rest = self.draft, instruction.line.rest
        match instruction:
            case given.Env():
                pairs = self._pairs(instruction.pairs)
                return draft.with_env(pairs), "ENV " + " ".join(f"{name}={value}" for name, value in pairs)
            case given.Label():
                pairs = self._pairs(instruction.pairs)
                return draft.with_labels(pairs), "LABEL " + " ".join(f"{name}={value}" for name, value in pairs)
            case given.User():
                user = self.expanded(instruction.user)
                return draft.with_("User", user), f"USER {user}"
            case given.Command():
                change = draft.with_entrypoint if instruction.entrypoint else draft.with_command
                shown = [*draft.shell, *instruction.args] if instruction.shell else list(instruction.args)
                text = f"{instruction.line.keyword} {json.dumps(shown, ensure_ascii=False)}"
                return change(instruction.args, shell=instruction.shell), text
            case given.Expose():
                ports = [port for text in instruction.ports for port in self._words(text)]
                return draft.with_ports(ports), f"EXPOSE {' '.join(ports)}"
            case given.Volume():
                paths = [self.expanded(path) for path in instruction.paths]
                return draft.with_volumes(paths), f"VOLUME {json.dumps(paths, ensure_ascii=False)}"
            case given.StopSignal():
                signal = self.expanded(instruction.signal)
                return draft.with_stop_signal(signal), f"STOPSIGNAL {signal}"
            case given.Shell():
                return draft.with_("Shell", list(instruction.args)), f"SHELL {json.dumps(instruction.args)}"
            case given.Healthcheck():
                return draft.with_("Healthcheck", _healthcheck(instruction)), f"HEALTHCHECK {rest}"
            case given.Onbuild():
                return draft.with_("OnBuild", [*draft.list("OnBuild"), instruction.text]), f"ONBUILD {instruction.text}"
            case given.Maintainer():
                return replace(draft, author=instruction.author), f"MAINTAINER {instruction.author}"
        raise Invalid(f"{instruction.line.keyword} cannot be used here")

    def _pairs(self, pairs: given.Pairs) -> list[tuple[str, str]]:
        return [(self.expanded(name), self.expanded(value)) for name, value in pairs]

    def _words(self, text: str) -> tuple[str, ...]:
        return words.expand_words(text, self.variables, self.dockerfile.escape)

    async def label(self, pairs: given.Pairs) -> None:
        """Of ``--label``."""
        await self._metadata(self.draft.with_labels(pairs), "LABEL " + " ".join(f"{n}={v}" for n, v in pairs))

    # Steps

    async def _metadata(self, draft: Draft, created_by: str) -> None:
        key = self._key({"do": created_by})
        step = None if self.settings.no_cache else await in_thread(self.tools.cache.find, key)
        if step is None:
            step = Step(created=self.settings.created, layer=None)
            await in_thread(self.tools.cache.save, key, step)
        self._advance(draft, key, step, created_by)

    async def layer(self, depends: dict[str, Any], created_by: str, make: Make, draft: Draft | None = None) -> None:
        """A step that may change files: ``make`` gets an upper directory to fill."""
        key = self._key({"do": created_by, **depends})
        cache, settings = self.tools.cache, self.settings
        step = None if settings.no_cache else await in_thread(cache.find, key)
        if step is not None:
            await self.tools.output.line(" ---> Using cache")
        else:
            upper = self.tools.workspace / f"upper-{key[:16]}-{os.urandom(4).hex()}"
            upper.mkdir(mode=0o755)
            await make(upper)
            layer = None
            if not await in_thread(diff.is_empty, upper):
                layer = await in_thread(cache.add, upper, settings.latest_s)
            step = Step(created=settings.created, layer=layer)
            await in_thread(cache.save, key, step)
        self._advance(draft or self.draft, key, step, created_by)

    def _advance(self, draft: Draft, key: str, step: Step, created_by: str) -> None:
        made = step.layer.diff_id if step.layer is not None else ""
        self.made = replace(
            self.made,
            draft=draft.with_step(step.created, created_by, step.layer),
            own=(*self.made.own, step.layer) if step.layer is not None else self.made.own,
            state=_hash([key, made]),
        )

    def _key(self, depends: dict[str, Any]) -> str:
        return _hash([KEY_VERSION, self.made.state, self.settings.latest_s, depends])

    @contextlib.contextmanager
    def root(self, upper: Path | None = None) -> Iterator[int]:
        """The stage's files now. Blocking."""
        with rootfs.opened(self.made.lower(self.tools.cache), self.tools.workspace, upper) as descriptor:
            yield descriptor

    async def _working_dir(self, path: str) -> None:
        draft = self.draft.with_working_dir(path)
        target = draft.working_dir

        def make(upper: Path) -> None:
            with self.root(upper) as root:
                os.close(make_directories(root, target))

        await self.layer({}, f"WORKDIR {target}", lambda upper: in_thread(make, upper), draft)


def directory_root(directory: Path) -> files.Root:
    @contextlib.contextmanager
    def opened() -> Iterator[int]:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    return opened


def _healthcheck(instruction: given.Healthcheck) -> dict[str, Any]:
    found: dict[str, Any] = {"Test": list(instruction.test)}
    for name, value in (
        ("Interval", instruction.interval_ns),
        ("Timeout", instruction.timeout_ns),
        ("StartPeriod", instruction.start_period_ns),
        ("StartInterval", instruction.start_interval_ns),
        ("Retries", instruction.retries),
    ):
        if value:
            found[name] = value
    return found


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
