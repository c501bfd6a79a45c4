"""The RUN instruction: its program, environment and mounts, and what it means when it fails."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knarr_build.ignore import Patterns
from knarr_runtime.build import files, rootfs
from knarr_runtime.build.copying import Copier, Ownership
from knarr_runtime.build.imageconfig import DEFAULT_PATH
from knarr_runtime.build.instructions import Run, RunMount
from knarr_runtime.build.lines import Heredoc, opened
from knarr_runtime.build.running import Program
from knarr_runtime.build.stages import PREDEFINED
from knarr_runtime.build.steps import StageRun
from knarr_runtime.build.threads import in_thread
from knarr_runtime.errors import Invalid, StartFailed, WrongState
from knarr_runtime.spec import Mount

_SCRIPTS = "/dev/pipes"
_NOTHING = Patterns(())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bound:
    """A bind mount and what its source holds."""

    mount: RunMount
    source: files.Source


@dataclass(frozen=True, slots=True, kw_only=True)
class _Script:
    name: str
    content: bytes


async def run(stage: StageRun, instruction: Run) -> None:
    """Raises Invalid, WrongState with the exit code of a program that failed."""
    args, script = _command(stage, instruction)
    wanted = [_expanded(stage, mount) for mount in instruction.mounts]
    bound = [await _bound(stage, mount) for mount in wanted if mount.kind == "bind"]
    environment, build_args = _environment(stage)
    depends: dict[str, Any] = {
        "args": list(args),
        "build_args": build_args,
        "network": instruction.network,
        "mounts": [[repr(mount)] for mount in wanted if mount.kind != "bind"],
        "bound": [[one.mount.target, one.source.path, one.source.fingerprint] for one in bound],
        "script": hashlib.sha256(script.content).hexdigest() if script is not None else "",
    }
    prefix = f"|{len(build_args)} {' '.join(build_args)} " if build_args else ""
    created_by = f"RUN {prefix}{' '.join(args)}"

    given = stage.tools.secrets

    async def make(upper: Path) -> None:
        async with contextlib.AsyncExitStack() as held:
            mounts = [await _mount(stage, mount, held) for mount in wanted if mount.kind not in ("bind", "secret")]
            secrets = {mount.id: mount for mount in wanted if mount.kind == "secret" and mount.id in given}
            mounts += [await in_thread(_secret, stage, mount) for mount in secrets.values() if mount.target]
            in_variables = {
                mount.env: given[name].decode(errors="surrogateescape") for name, mount in secrets.items() if mount.env
            }
            for one in bound:
                mounts.append(await in_thread(_copied, stage, one))
            if script is not None:
                mounts.append(await in_thread(_written, stage, script))
            await _execute(stage, instruction, args, {**environment, **in_variables}, tuple(mounts), upper)

    for mount in wanted:
        if mount.kind == "secret" and mount.required and mount.id not in given:
            raise Invalid(f"secret {mount.id}: not found: give it with --secret id={mount.id},src=FILE")
    await stage.layer(depends, created_by, make)


async def _execute(
    stage: StageRun,
    instruction: Run,
    args: tuple[str, ...],
    environment: dict[str, str],
    mounts: tuple[Mount, ...],
    upper: Path,
) -> None:
    tools = stage.tools
    lower = await in_thread(stage.made.lower, tools.cache)

    def look_up() -> Any:
        with stage.root() as root:
            return rootfs.find_user(root, stage.draft.text("User"))

    user, home = await in_thread(look_up)
    environment.setdefault("HOME", home)
    program = Program(
        args=args,
        env=tuple(f"{name}={value}" for name, value in environment.items()),
        cwd=stage.draft.working_dir,
        user=user,
        lower=lower or (_empty(tools.workspace),),
        mounts=mounts,
        network=instruction.network,
    )
    if instruction.network == "default" and tools.runner.network() == "host":
        await tools.output.line(" ---> Running with the host's network: this node has no pod network")
    shown = " ".join(args)
    try:
        end = await tools.runner.run(program, upper, tools.workspace, tools.output.line)
    except StartFailed as error:
        raise WrongState(f"the command '{shown}' could not be started: {error}") from error
    if end.exit_code != 0:
        reason = " (out of memory)" if end.oom_kills else ""
        raise WrongState(f"the command '{shown}' returned a non-zero code: {end.exit_code}{reason}")


def _empty(workspace: Path) -> str:
    path = workspace / "empty-0"
    path.mkdir(mode=0o755, exist_ok=True)
    return str(path)


def _command(stage: StageRun, instruction: Run) -> tuple[tuple[str, ...], _Script | None]:
    """The arguments; and the script of a here-document that says by ``#!`` who runs it."""
    if not instruction.shell:
        return instruction.args, None
    text, heredocs = instruction.args[0], instruction.line.heredocs
    shell = stage.draft.shell
    if not heredocs:
        return (*shell, text), None
    alone = opened(text, stage.dockerfile.escape)
    if alone is None:
        return (*shell, "\n".join((text, *(f"{one.text}{one.name}" for one in heredocs)))), None
    script: Heredoc = heredocs[0]
    if script.text.startswith("#!"):
        return (f"{_SCRIPTS}/{script.name}",), _Script(name=script.name, content=script.content.encode())
    return (*shell, script.content), None


def _environment(stage: StageRun) -> tuple[dict[str, str], list[str]]:
    """(all variables, those of ARG as the history and the key have them)."""
    variables = {"PATH": DEFAULT_PATH, **stage.draft.env}
    declared = {name: value for name, value in stage.variables.items() if name not in stage.draft.env}
    proxies = {name: value for name, value in stage.settings.args.items() if name in PREDEFINED}
    shown = [f"{name}={value}" for name, value in sorted(declared.items()) if name not in PREDEFINED]
    return {**proxies, **declared, **variables}, shown


def _expanded(stage: StageRun, mount: RunMount) -> RunMount:
    target = os.path.normpath(os.path.join("/", stage.draft.working_dir, stage.expanded(mount.target)))
    if not mount.target:
        target = ""
    if target == "/":
        raise Invalid('invalid mount target "/"')
    return RunMount(
        kind=mount.kind,
        target=target,
        source=stage.expanded(mount.source),
        from_=mount.from_,
        id=stage.expanded(mount.id),
        env=mount.env,
        readonly=mount.readonly,
        sharing=mount.sharing,
        required=mount.required,
        mode=mount.mode,
        uid=mount.uid,
        gid=mount.gid,
        size_bytes=mount.size_bytes,
    )


async def _bound(stage: StageRun, mount: RunMount) -> _Bound:
    root = await stage.tools.source(mount.from_)
    found = await in_thread(files.find, root, (mount.source,), _NOTHING, archives=False)
    if len(found) != 1:
        raise Invalid(f'mount of "{mount.source}": must name one file or directory')
    return _Bound(mount=mount, source=found[0])


async def _mount(stage: StageRun, mount: RunMount, held: contextlib.AsyncExitStack) -> Mount:
    """Of a tmpfs or a cache; a locked cache is held until the program has ended."""
    if mount.kind == "tmpfs":
        size = f"size={mount.size_bytes}," if mount.size_bytes else ""
        return Mount(kind="tmpfs", target=mount.target, options=f"{size}mode=1777")
    if mount.from_:
        raise Invalid("RUN --mount=type=cache: from is not supported")
    identifier = hashlib.sha256(mount.id.encode()).hexdigest()
    if mount.sharing != "shared":
        await held.enter_async_context(stage.tools.locks.setdefault(identifier, asyncio.Lock()))
    path = stage.tools.cache.mount(identifier)
    await in_thread(_make_cache, path, mount)
    return Mount(source=str(path), target=mount.target, readonly=mount.readonly)


def _secret(stage: StageRun, mount: RunMount) -> Mount:
    """Not in the key of the step: another secret is no reason to run it again."""
    path = stage.tools.workspace / f"secret-{os.urandom(4).hex()}"
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(stage.tools.secrets[mount.id])
        os.fchown(file.fileno(), mount.uid, mount.gid)
        os.fchmod(file.fileno(), mount.mode)
    return Mount(source=str(path), target=mount.target, readonly=True)


def _make_cache(path: Path, mount: RunMount) -> None:
    if not path.exists():
        path.mkdir(mode=0o700)
        os.chown(path, mount.uid, mount.gid)
        path.chmod(mount.mode)


def _copied(stage: StageRun, bound: _Bound) -> Mount:
    """A copy, so that the program can neither change the source nor reach beside it; what it writes is lost."""
    place = stage.tools.workspace / f"bound-{os.urandom(4).hex()}"
    place.mkdir(mode=0o755)
    descriptor = os.open(place, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with bound.source.root() as source:
            Copier(descriptor, Ownership(), _NOTHING).copy(source, bound.source.path, "/content", into=False)
    finally:
        os.close(descriptor)
    return Mount(source=str(place / "content"), target=bound.mount.target, readonly=bound.mount.readonly)


def _written(stage: StageRun, script: _Script) -> Mount:
    path = stage.tools.workspace / f"script-{os.urandom(4).hex()}"
    path.write_bytes(script.content)
    path.chmod(0o755)
    return Mount(source=str(path), target=f"{_SCRIPTS}/{script.name}", readonly=True)
