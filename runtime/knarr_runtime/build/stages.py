"""Which stages a build needs, what their bases are, and which values ARG gives. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from knarr_runtime.build import words
from knarr_runtime.build.instructions import Copy, Dockerfile, Onbuild, Run, Stage
from knarr_runtime.errors import Invalid, RuntimeFailure

SCRATCH = "scratch"
PREDEFINED = frozenset(
    name
    for upper in ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY")
    for name in (upper, upper.lower())
)
"""May be given without ARG, reach RUN, and are neither in the history nor in the cache's keys."""

PLATFORMS = ("linux/amd64", "linux/arm64")
SOURCE_DATE_EPOCH = "SOURCE_DATE_EPOCH"


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Of one stage: another stage's index, or an image (``scratch`` is none)."""

    image: str
    stage: int | None
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """needed: indices of stages, in the order in which they stand; the last one is the target."""

    needed: tuple[int, ...]
    bases: Mapping[int, Base]
    globals: Mapping[str, str]

    @property
    def target(self) -> int:
        return self.needed[-1]


def plan(dockerfile: Dockerfile, *, target: str, platform: str, args: Mapping[str, str]) -> Plan:
    """args: those given with ``--build-arg``. Raises Invalid."""
    variables = dict(platform_variables(platform))
    variables.update({name: value for name, value in args.items() if name in variables})
    for arg in dockerfile.args:
        for name, default in arg.names:
            if name in args:
                variables[name] = args[name]
            elif default is not None:
                with placed(dockerfile, arg.line.number):
                    variables[name] = words.expand(default, variables, dockerfile.escape)
    bases = {stage.index: _base(dockerfile, stage, variables) for stage in dockerfile.stages}
    last = _target(dockerfile, target)
    needed = {last}
    for stage in reversed(dockerfile.stages[: last + 1]):
        if stage.index in needed:
            needed.update(_uses(dockerfile, stage, bases[stage.index]))
    return Plan(needed=tuple(sorted(needed)), bases=bases, globals=variables)


def platform_variables(platform: str) -> Mapping[str, str]:
    """TARGET… and BUILD…: only one platform, this machine's, is built. Raises Invalid."""
    if platform not in PLATFORMS:
        raise Invalid(f'platform "{platform}" cannot be built; there are {", ".join(PLATFORMS)}')
    system, _, architecture = platform.partition("/")
    found: dict[str, str] = {}
    for side in ("TARGET", "BUILD"):
        found |= {f"{side}PLATFORM": platform, f"{side}OS": system, f"{side}ARCH": architecture, f"{side}VARIANT": ""}
    return found


def stage_named(dockerfile: Dockerfile, name: str, before: int) -> int | None:
    """The index of the stage that ``--from=name`` means in stage ``before``; None for an image. Raises Invalid."""
    if name.isdecimal():
        if int(name) >= before:
            raise Invalid(f"invalid stage index {name}: there are only earlier stages to copy from")
        return int(name)
    found = [stage.index for stage in dockerfile.stages if stage.name and stage.name == name.lower()]
    earlier = [index for index in found if index < before]
    if found and not earlier:
        raise Invalid(f'stage "{name}" comes later or is this one: a stage can only use earlier ones')
    return earlier[-1] if earlier else None


def _base(dockerfile: Dockerfile, stage: Stage, variables: Mapping[str, str]) -> Base:
    with placed(dockerfile, stage.base.line.number):
        image = words.expand(stage.base.image, variables, dockerfile.escape)
        platform = words.expand(stage.base.platform, variables, dockerfile.escape)
        if not image:
            raise Invalid(f"base name ({stage.base.image}) should not be blank")
        earlier = [one.index for one in dockerfile.stages[: stage.index] if one.name and one.name == image.lower()]
    return Base(image=image, stage=earlier[-1] if earlier else None, platform=platform)


def _target(dockerfile: Dockerfile, target: str) -> int:
    if not target:
        return len(dockerfile.stages) - 1
    for stage in dockerfile.stages:
        if target.lower() == stage.name or target == str(stage.index):
            return stage.index
    names = ", ".join(stage.name or str(stage.index) for stage in dockerfile.stages)
    raise Invalid(f'target stage "{target}" could not be found; there are {names}')


def _uses(dockerfile: Dockerfile, stage: Stage, base: Base) -> Iterable[int]:
    if base.stage is not None:
        yield base.stage
    for instruction in stage.instructions:
        names: tuple[str, ...] = ()
        if isinstance(instruction, Copy) and instruction.from_:
            names = (instruction.from_,)
        elif isinstance(instruction, Run):
            names = tuple(mount.from_ for mount in instruction.mounts if mount.from_)
        elif isinstance(instruction, Onbuild):
            continue
        for name in names:
            with placed(dockerfile, instruction.line.number):
                index = stage_named(dockerfile, name, stage.index)
            if index is not None:
                yield index


class placed:
    """Puts file and line before the message of an error."""

    def __init__(self, dockerfile: Dockerfile, number: int) -> None:
        self._place = f"{dockerfile.name}:{number}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, RuntimeFailure) and not str(error).startswith(self._place):
            raise type(error)(f"{self._place}: {error}") from error
