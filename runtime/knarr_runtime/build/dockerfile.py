"""A Dockerfile's instructions checked and made into values. Pure.

Every error names file and line, and says what Docker says where Docker says it well.
Source: Dockerfile reference; messages as BuildKit's.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable

from knarr_runtime.build import lines, words
from knarr_runtime.build.flags import Flags, duration_ns, run_mount
from knarr_runtime.build.instructions import (
    Arg,
    Command,
    Copy,
    Dockerfile,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    Onbuild,
    Pairs,
    Run,
    Shell,
    Stage,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from knarr_runtime.build.lines import Heredoc, Line
from knarr_runtime.errors import Invalid

_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*\Z")
_RESERVED = ("scratch", "context")
_NETWORKS = ("default", "none")
_NEVER_TRIGGERED = ("ONBUILD", "FROM", "MAINTAINER")


def parse(data: bytes, name: str = "Dockerfile") -> Dockerfile:
    """Raises Invalid as ``name:line: what``."""
    text = lines.read(data, name)
    notes: list[str] = []
    if "syntax" in text.directives:
        notes.append(f"{name}: syntax={text.directives['syntax']} is not fetched; the built-in syntax is used")
    args: list[Arg] = []
    stages: list[tuple[From, list[Instruction]]] = []
    for line in text.lines:
        try:
            instruction = parse_line(line, text.escape)
            if isinstance(instruction, From):
                stages.append((instruction, []))
            elif stages:
                stages[-1][1].append(instruction)
            elif isinstance(instruction, Arg):
                args.append(instruction)
            else:
                raise Invalid("no build stage in current context: the first instruction must be FROM (or ARG)")
        except Invalid as error:
            raise Invalid(f"{name}:{line.number}: {error}") from None
    if not stages:
        raise Invalid(f"{name}: no build stage: there is no FROM")
    return Dockerfile(
        name=name,
        escape=text.escape,
        args=tuple(args),
        stages=tuple(
            Stage(index=index, name=base.name, base=base, instructions=tuple(found))
            for index, (base, found) in enumerate(stages)
        ),
        notes=tuple(notes),
    )


def parse_trigger(text: str) -> Instruction:
    """One instruction of an image's ONBUILD. Raises Invalid."""
    found = lines.read(text.encode(), "ONBUILD").lines
    if len(found) != 1:
        raise Invalid(f"ONBUILD: {text[:80]!r} must be one instruction")
    return parse_line(found[0], "\\")


def parse_line(line: Line, escape: str) -> Instruction:
    """Raises Invalid without the place."""
    parser = _PARSERS.get(line.keyword)
    if parser is None:
        near = difflib.get_close_matches(line.keyword, _PARSERS, n=1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise Invalid(f"unknown instruction: {line.keyword}{hint}")
    if not line.rest.strip() and line.keyword not in ("CMD", "ENTRYPOINT", "RUN"):
        if line.keyword == "FROM":
            raise Invalid("FROM requires either one or three arguments")
        raise Invalid(f"{line.keyword} requires at least one argument")
    flags = Flags(line.keyword, line.flags)
    instruction = parser(line, flags, escape)
    flags.all_taken()
    return instruction


def _from(line: Line, flags: Flags, escape: str) -> Instruction:
    parts = line.rest.split()
    if len(parts) not in (1, 3) or (len(parts) == 3 and parts[1].lower() != "as"):
        raise Invalid("FROM requires either one or three arguments")
    name = parts[2].lower() if len(parts) == 3 else ""
    if name and not _STAGE_NAME.match(name):
        raise Invalid(f'invalid name for build stage: "{parts[2]}", name can\'t start with a number or contain symbols')
    if name in _RESERVED:
        raise Invalid(f'stage name "{name}" is reserved: choose another')
    return From(line=line, image=parts[0], name=name, platform=flags.text("platform"))


def _arg(line: Line, flags: Flags, escape: str) -> Instruction:
    names: list[tuple[str, str | None]] = []
    for word in words.raw_words(line.rest, escape):
        name, equals, default = word.partition("=")
        if not name:
            raise Invalid("ARG names can not be blank")
        names.append((name, default if equals else None))
    return Arg(line=line, names=tuple(names))


def _pairs(line: Line, escape: str) -> Pairs:
    parts = words.raw_words(line.rest, escape)
    if "=" not in parts[0]:
        if len(parts) < 2:
            raise Invalid(f"{line.keyword} must have two arguments")
        return ((parts[0], line.rest.lstrip().removeprefix(parts[0]).strip()),)
    found: list[tuple[str, str]] = []
    for word in parts:
        name, equals, value = word.partition("=")
        if not equals:
            raise Invalid(f'syntax error - can\'t find = in "{word}": must be of the form name=value')
        if not name:
            raise Invalid(f"{line.keyword} names can not be blank")
        found.append((name, value))
    return tuple(found)


def _env(line: Line, flags: Flags, escape: str) -> Instruction:
    return Env(line=line, pairs=_pairs(line, escape))


def _label(line: Line, flags: Flags, escape: str) -> Instruction:
    return Label(line=line, pairs=_pairs(line, escape))


def _json(text: str) -> tuple[str, ...] | None:
    """The JSON form; None if it is none. Raises Invalid for an array of something else than strings."""
    if not text.lstrip().startswith("["):
        return None
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not all(isinstance(one, str) for one in found):
        raise Invalid("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(found)


def _run(line: Line, flags: Flags, escape: str) -> Instruction:
    mounts = tuple(run_mount(text) for text in flags.many("mount"))
    network = flags.text("network") or "default"
    if network not in _NETWORKS:
        raise Invalid(f'RUN --network={network}: is not allowed; there are "default" and "none"')
    security = flags.text("security")
    if security not in ("", "sandbox"):
        raise Invalid(f'RUN --security={security}: is not allowed; there is only "sandbox"')
    given = None if line.heredocs else _json(line.rest)
    if given == () or (given is None and not line.rest.strip()):
        raise Invalid("RUN requires at least one argument")
    args = given if given is not None else (line.rest,)
    return Run(line=line, shell=given is None, args=args, mounts=mounts, network=network)


def _copy(line: Line, flags: Flags, escape: str) -> Instruction:
    add = line.keyword == "ADD"
    given = _json(line.rest)
    parts = given if given is not None else words.raw_words(line.rest, escape)
    if len(parts) < 2:
        raise Invalid(f"{line.keyword} requires at least two arguments, but only {len(parts)} was provided")
    waiting = list(line.heredocs)
    sources: list[str] = []
    inline: list[Heredoc] = []
    for part in parts[:-1]:
        if waiting and lines.opened(part, escape) is not None:
            inline.append(waiting.pop(0))
        else:
            sources.append(part)
    target = parts[-1]
    if waiting:
        raise Invalid(f"{line.keyword}: the destination can not be a here-document")
    flags.boolean("link")
    if flags.boolean("parents"):
        raise Invalid(f"{line.keyword} --parents is not supported")
    if flags.boolean("keep-git-dir"):
        raise Invalid("ADD --keep-git-dir is not supported: git repositories can not be added")
    flags.boolean("unpack")
    return Copy(
        line=line,
        add=add,
        sources=tuple(sources),
        target=target,
        inline=tuple(inline),
        from_="" if add else flags.text("from"),
        chown=flags.text("chown"),
        chmod=flags.text("chmod"),
        checksum=flags.text("checksum") if add else "",
        exclude=flags.many("exclude"),
    )


def _workdir(line: Line, flags: Flags, escape: str) -> Instruction:
    return Workdir(line=line, path=line.rest.strip())


def _user(line: Line, flags: Flags, escape: str) -> Instruction:
    if len(line.rest.split()) != 1:
        raise Invalid("USER requires exactly one argument")
    return User(line=line, user=line.rest.strip())


def _command(line: Line, flags: Flags, escape: str) -> Instruction:
    given = _json(line.rest)
    shell = given is None and bool(line.rest.strip())
    args = given if given is not None else ((line.rest,) if shell else ())
    return Command(line=line, entrypoint=line.keyword == "ENTRYPOINT", shell=shell, args=args)


def _expose(line: Line, flags: Flags, escape: str) -> Instruction:
    return Expose(line=line, ports=words.raw_words(line.rest, escape))


def _volume(line: Line, flags: Flags, escape: str) -> Instruction:
    given = _json(line.rest)
    paths = given if given is not None else words.raw_words(line.rest, escape)
    if not paths or not all(path.strip() for path in paths):
        raise Invalid("VOLUME specified can not be an empty string")
    return Volume(line=line, paths=paths)


def _stop_signal(line: Line, flags: Flags, escape: str) -> Instruction:
    if len(line.rest.split()) != 1:
        raise Invalid("STOPSIGNAL requires exactly one argument")
    return StopSignal(line=line, signal=line.rest.strip())


def _shell(line: Line, flags: Flags, escape: str) -> Instruction:
    given = _json(line.rest)
    if given is None:
        raise Invalid("SHELL requires the arguments to be in JSON form")
    if not given:
        raise Invalid("SHELL requires at least one argument")
    return Shell(line=line, args=given)


def _healthcheck(line: Line, flags: Flags, escape: str) -> Instruction:
    kind, _, rest = line.rest.partition(" ")
    rest = rest.strip()
    if kind.upper() == "NONE":
        if rest:
            raise Invalid("HEALTHCHECK NONE takes no arguments")
        return Healthcheck(line=line, test=("NONE",))
    if kind.upper() != "CMD":
        raise Invalid(f'unknown type "{kind}" in HEALTHCHECK (try CMD)')
    if not rest:
        raise Invalid("missing command after HEALTHCHECK CMD")
    given = _json(rest)
    retries = flags.text("retries")
    if retries and not retries.isdecimal():
        raise Invalid(f"HEALTHCHECK --retries={retries}: not a number")
    return Healthcheck(
        line=line,
        test=("CMD", *given) if given is not None else ("CMD-SHELL", rest),
        interval_ns=duration_ns(flags.text("interval"), "--interval"),
        timeout_ns=duration_ns(flags.text("timeout"), "--timeout"),
        start_period_ns=duration_ns(flags.text("start-period"), "--start-period"),
        start_interval_ns=duration_ns(flags.text("start-interval"), "--start-interval"),
        retries=int(retries or "0"),
    )


def _onbuild(line: Line, flags: Flags, escape: str) -> Instruction:
    keyword = line.rest.split()[0].upper()
    if keyword in _NEVER_TRIGGERED:
        if keyword == "ONBUILD":
            raise Invalid("chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
        raise Invalid(f"{keyword} isn't allowed as an ONBUILD trigger")
    text = line.rest + "".join(f"\n{heredoc.text}{heredoc.name}" for heredoc in line.heredocs)
    parse_trigger(text)
    return Onbuild(line=line, text=text)


def _maintainer(line: Line, flags: Flags, escape: str) -> Instruction:
    return Maintainer(line=line, author=line.rest.strip())


_PARSERS: dict[str, Callable[[Line, Flags, str], Instruction]] = {
    "ADD": _copy,
    "ARG": _arg,
    "CMD": _command,
    "COPY": _copy,
    "ENTRYPOINT": _command,
    "ENV": _env,
    "EXPOSE": _expose,
    "FROM": _from,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "MAINTAINER": _maintainer,
    "ONBUILD": _onbuild,
    "RUN": _run,
    "SHELL": _shell,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
