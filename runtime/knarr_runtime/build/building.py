"""One build from beginning to end: bases, stages in order, the image in the store."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from knarr_runtime.build import dockerfile as parsing
from knarr_runtime.build import files, imageconfig, rootfs, stages, steps
from knarr_runtime.build.cache import Cache
from knarr_runtime.build.imageconfig import Draft
from knarr_runtime.build.images import Images, Progress
from knarr_runtime.build.instructions import Dockerfile
from knarr_runtime.build.running import Runner
from knarr_runtime.build.steps import Made, Output, StageRun
from knarr_runtime.build.threads import in_thread
from knarr_runtime.errors import Invalid, NotFound
from knarr_runtime.images import names
from knarr_runtime.images.documents import MACHINES
from knarr_runtime.images.registry.credentials import Credentials, among
from knarr_runtime.images.store import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """platform: "" is this machine's. context: the directory with the unpacked context."""

    dockerfile: bytes
    dockerfile_name: str
    context: Path
    tags: tuple[str, ...]
    target: str
    platform: str
    args: Mapping[str, str]
    labels: Mapping[str, str]
    secrets: Mapping[str, bytes]
    no_cache: bool
    pull: bool
    credentials: Mapping[str, Credentials] = field(default_factory=dict)
    """For base images, by registry."""


class Puller(Protocol):
    async def __call__(self, name: str, platform: str, progress: Progress, credentials: Credentials) -> Image:
        """From its registry. Raises NotFound, Unavailable."""


def this_platform() -> str:
    machine = os.uname().machine
    return f"linux/{MACHINES.get(machine, machine)}"


class Build:
    """Carries one request out; ``run`` is called once."""

    def __init__(
        self,
        request: Request,
        *,
        store: Images,
        hold: Callable[[Image], None],
        cache: Cache,
        runner: Runner,
        pull: Puller,
        output: Output,
        progress: Progress,
        workspace: Path,
        locks: dict[str, asyncio.Lock],
    ) -> None:
        self._request = request
        self._store = store
        self._hold = hold
        self._cache = cache
        self._pull = pull
        self._output = output
        self._progress = progress
        self._workspace = workspace
        self._cancelled = threading.Event()
        self._tools = steps.Tools(
            cache=cache,
            runner=runner,
            output=output,
            workspace=workspace,
            source=self._source,
            cancelled=self._cancelled.is_set,
            locks=locks,
            secrets=request.secrets,
        )
        self._platform = request.platform or this_platform()
        self._dockerfile: Dockerfile
        self._plan: stages.Plan
        self._stages: dict[int, Made] = {}
        self._images: dict[str, Made] = {}
        self._current = 0
        self._step = 0
        self._settings = self._read_settings()
        self._args_used: set[str] = set()

    def _read_settings(self) -> steps.Settings:
        epoch = self._request.args.get(stages.SOURCE_DATE_EPOCH, "")
        if epoch and not (epoch.isdecimal() and len(epoch) < 12):
            raise Invalid(f'{stages.SOURCE_DATE_EPOCH}: "{epoch}" is no number of seconds since 1970')
        now = (
            datetime.datetime.fromtimestamp(int(epoch), datetime.UTC) if epoch else datetime.datetime.now(datetime.UTC)
        )
        return steps.Settings(
            args=dict(self._request.args),
            created=now.isoformat().replace("+00:00", "Z"),
            latest_s=int(epoch) if epoch else None,
            no_cache=self._request.no_cache,
        )

    async def run(self) -> str:
        """The image's id. Raises Invalid with file and line, WrongState for a RUN that failed, NotFound …"""
        request = self._request
        if self._platform != this_platform():
            raise Invalid(f'platform "{self._platform}" cannot be built here: this machine is {this_platform()}')
        tags = tuple(names.normalise(tag) for tag in request.tags)
        self._dockerfile = parsing.parse(request.dockerfile, request.dockerfile_name)
        self._plan = stages.plan(self._dockerfile, target=request.target, platform=self._platform, args=request.args)
        for note in self._dockerfile.notes:
            await self._output.line(note)
        try:
            for index in self._plan.needed:
                await self._stage(index)
            made = self._stages[self._plan.target]
            image = await in_thread(self._store.add, made.draft, tags, self._progress)
        finally:
            self._cancelled.set()
        await self._tell_unused()
        await self._output.line(f"Successfully built {image.id.removeprefix('sha256:')[:12]}")
        for tag in tags:
            await self._output.line(f"Successfully tagged {tag}")
        return image.id

    def cancel(self) -> None:
        """Tells blocking work to stop; the task is the caller's to cancel."""
        self._cancelled.set()

    @property
    def step_count(self) -> int:
        """Known once the Dockerfile is read."""
        plan = getattr(self, "_plan", None)
        if plan is None:
            return 0
        return sum(1 + len(self._dockerfile.stages[index].instructions) for index in plan.needed)

    # Stages

    async def _stage(self, index: int) -> Made:
        if index in self._stages:
            return self._stages[index]
        stage, base = self._dockerfile.stages[index], self._plan.bases[index]
        number = stage.base.line.number
        await self._begin(stage.base.line.original)
        with stages.placed(self._dockerfile, number):
            made = await self._base(base)
        self._current = index
        run = StageRun(self._dockerfile, made, self._settings, self._tools, dict(self._plan.globals))
        for text in made.triggers:
            await self._output.line(f"# Executing build trigger: {text}")
            with stages.placed(self._dockerfile, number):
                await run.carry_out(parsing.parse_trigger(text))
        for instruction in stage.instructions:
            await self._begin(instruction.line.original)
            with stages.placed(self._dockerfile, instruction.line.number):
                await run.carry_out(instruction)
        if index == self._plan.target and self._request.labels:
            await run.label(tuple(sorted(self._request.labels.items())))
        self._args_used |= run.args_used
        self._stages[index] = run.made
        return run.made

    async def _begin(self, text: str) -> None:
        self._step += 1
        self._output.begin(self._step)
        await self._output.line(f"Step {self._step}/{max(self.step_count, self._step)} : {text}")

    async def _base(self, base: stages.Base) -> Made:
        if base.platform and base.platform != self._platform:
            raise Invalid(f'--platform={base.platform}: this build is for "{self._platform}"')
        if base.stage is not None:
            made = await self._stage(base.stage)
        elif base.image == stages.SCRATCH:
            system, _, architecture = self._platform.partition("/")
            empty = Draft(os=system, architecture=architecture).with_env((("PATH", imageconfig.DEFAULT_PATH),))
            made = Made(draft=empty, state="scratch")
        else:
            made = await self._image(base.image)
        triggers = made.draft.list("OnBuild")
        draft = replace(made.draft.with_("OnBuild", None), command_set=False)
        return replace(made, draft=draft, triggers=triggers)

    async def _image(self, name: str) -> Made:
        """An image as a stage, pulled when it is not here or when asked to."""
        if name in self._images:
            return self._images[name]
        try:
            if self._request.pull and not name.startswith("sha256:"):
                raise NotFound(name)
            image = self._store.find(name)
        except NotFound:
            credentials = among(self._request.credentials, names.normalise(name))
            image = await self._pull(name, self._platform, self._progress, credentials)
        self._hold(image)
        made = await in_thread(self._read_image, image)
        architecture = self._platform.partition("/")[2]
        if made.draft.architecture and made.draft.architecture != architecture:
            raise Invalid(f'image "{name}" is for {made.draft.os}/{made.draft.architecture}, not {self._platform}')
        self._images[name] = made
        return made

    def _read_image(self, image: Image) -> Made:
        draft = self._store.draft(image)
        return Made(draft=draft, base=self._store.layer_paths(image), state=f"image {image.id}")

    async def _source(self, name: str) -> files.Root:
        """The tree that ``--from`` names; "" is the context."""
        if not name:
            return steps.directory_root(self._request.context)
        index = stages.stage_named(self._dockerfile, name, self._current)
        current = self._current
        made = await self._stage(index) if index is not None else await self._image(name)
        self._current = current
        return self._tree(made)

    def _tree(self, made: Made) -> files.Root:
        @contextlib.contextmanager
        def opened() -> Iterator[int]:
            with rootfs.opened(made.lower(self._cache), self._workspace) as descriptor:
                yield descriptor

        return opened

    async def _tell_unused(self) -> None:
        known = self._args_used | stages.PREDEFINED | set(self._plan.globals) | {stages.SOURCE_DATE_EPOCH}
        unused = sorted(set(self._request.args) - known)
        if unused:
            await self._output.line(f"[Warning] One or more build-args {unused} were not consumed")
