"""Verbs on containers that exist."""

from __future__ import annotations

import datetime
import json
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import configs, logs, parsing
from knarr_runtime.cli.output import ago, human_size, short, show
from knarr_runtime.cli.running import LOGS
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, name_of, session
from knarr_runtime.cli.streams import Streams

STATES = {
    cri.CONTAINER_CREATED: "Created",
    cri.CONTAINER_RUNNING: "Up",
    cri.CONTAINER_EXITED: "Exited",
    cri.CONTAINER_UNKNOWN: "Unknown",
}
OUTPUTS = click.Choice(["table", "wide", "json", "name"])
KEYS = ("id", "image", "command", "created", "status", "ports", "names")
CLEAR = "\x1b[H\x1b[J"


def status_of(connected: Session, identifier: str) -> Any:
    request = cri.ContainerStatusRequest(container_id=identifier)
    return connected.runtime.ContainerStatus(request, timeout=QUICK_S).status


@click.command(short_help="List containers")
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that don't run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--no-trunc", is_flag=True, help="Whole ids and commands.")
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="name=, label=KEY[=VALUE], status=."
)
@click.option("-o", "--output", "form", type=OUTPUTS, default="table")
def ps(everything: bool, quiet: bool, no_trunc: bool, filters: tuple[str, ...], form: str) -> None:
    """List the containers that run, newest first."""
    with failures():
        connected = session()
        found = [each for each in connected.list_containers() if everything or each.state == cri.CONTAINER_RUNNING]
        found = [each for each in found if all(_passes(each, text) for text in filters)]
        if quiet:
            for each in found:
                click.echo(each.id if no_trunc else short(each.id))
            return
        rows, documents = [], []
        for each in found:
            try:
                status = status_of(connected, each.id)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    continue  # it was removed meanwhile
                raise
            row = _row(each, status, no_trunc=no_trunc)
            rows.append(row)
            documents.append(
                dict(zip(("id", "image", "command", "created", "status", "ports", "names"), row, strict=True))
            )
        show(("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"), rows, documents, form)


def _passes(container: Any, text: str) -> bool:
    key, _, value = text.partition("=")
    if key == "name":
        return value in name_of(container)
    if key == "label":
        name, equals, wanted = value.partition("=")
        return name in container.labels and (not equals or container.labels[name] == wanted)
    if key == "status":
        shown = {"up": "running"}.get(STATES[container.state].lower(), STATES[container.state].lower())
        return value == shown
    return bool(fail(f"filter {text!r}: name=, label= and status= are known"))


def _row(container: Any, status: Any, *, no_trunc: bool) -> tuple[str, ...]:
    now = time.time_ns()
    command = configs.shown_command(container.annotations)
    if not no_trunc and len(command) > 22:
        command = command[:21] + "…"
    return (
        container.id if no_trunc else short(container.id),
        container.image.user_specified_image or container.image.image,
        f'"{command}"' if command else "",
        f"{ago((now - container.created_at) / 1e9)} ago",
        state_text(status, now),
        configs.shown_ports(container.annotations),
        name_of(container),
    )


def state_text(status: Any, now_ns: int) -> str:
    """``Up 3 hours``, ``Exited (137) 5 minutes ago``."""
    if status.state == cri.CONTAINER_RUNNING:
        return f"Up {ago((now_ns - status.started_at) / 1e9)}"
    if status.state == cri.CONTAINER_EXITED:
        return f"Exited ({status.exit_code}) {ago((now_ns - status.finished_at) / 1e9)} ago"
    return STATES[status.state]


@click.command(short_help="Print a container's output")
@click.argument("container")
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="Only the last lines.")
@click.option("-t", "--timestamps", is_flag=True)
@click.option("--since", default="", metavar="TIME", help="RFC 3339, or so long ago: 10m.")
def logs_command(container: str, follow: bool, tail: str, timestamps: bool, since: str) -> None:
    """Print what CONTAINER has written to its standard output and error."""
    with failures():
        connected = session()
        found = connected.find_container(container)
        path = Path(status_of(connected, found.id).log_path)
        if not path.name:
            fail(f"container {container} keeps no log")
        if tail != "all" and not tail.isdecimal():
            fail(f"tail {tail!r}: write a number of lines, or all")
        start = logs.since(since, datetime.datetime.now(datetime.UTC)) if since else ""

        def running() -> bool:
            return bool(status_of(connected, found.id).state == cri.CONTAINER_RUNNING)

        count = None if tail == "all" else int(tail)
        if follow and count is None:
            lines = logs.joined(logs.follow(path, running, time.sleep))
        else:
            lines = iter(logs.last(logs.joined(logs.read(path)), count))
        for line in lines:
            if line.time >= start:
                _print(line, timestamps)
        if follow and count is not None:
            _print_new(path, running, timestamps)


def _print_new(path: Path, running: Any, timestamps: bool) -> None:
    seen = sum(1 for _ in logs.read(path))
    everything = logs.follow(path, running, time.sleep)
    for line in logs.joined(raw for number, raw in enumerate(everything) if number >= seen):
        _print(line, timestamps)


def _print(line: logs.Line, timestamps: bool) -> None:
    output = sys.stderr.buffer if line.stream == "stderr" else sys.stdout.buffer
    output.write((line.time.encode() + b" " if timestamps else b"") + line.text)
    output.flush()


@click.command(context_settings={"allow_interspersed_args": False}, short_help="Run a command in a container")
@click.argument("container")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-i", "--interactive", is_flag=True, help="Keep standard input open.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]")
@click.option("-w", "--workdir", default="", metavar="DIR")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]")
def exec_command(
    container: str,
    command: tuple[str, ...],
    interactive: bool,
    tty: bool,
    env: tuple[str, ...],
    workdir: str,
    user: str,
) -> None:
    """Run COMMAND in CONTAINER; the exit status is the command's.

    \b
    Examples:
      knarr-runtime exec -it web sh
      knarr-runtime exec -e DEBUG=1 -w /app web ./check
    """
    import os

    with failures(126):
        if tty and interactive and not sys.stdin.isatty():
            fail("the input device is not a TTY: leave -t out, or run it on a terminal")
        connected = session()
        found = connected.find_container(container)
        variables = [f"{name}={value}" for name, value in parsing.environment(env, (), {**os.environ})]
        request = containers_pb2.ExecRequest(
            container_id=found.id,
            command=command,
            tty=tty,
            stdin=interactive,
            env=variables,
            cwd=workdir,
            user=user,
        )
        streams = Streams(
            connected.containers.Exec(request, timeout=QUICK_S).url, tty=tty, stdin=interactive, detach_keys=b""
        )
        streams.open()
        result = streams.run()
        if result.exit_code is None:
            fail(result.message or "the session ended without a result", 126)
        if result.exit_code in (126, 127) and result.message:
            click.echo(f"knarr-runtime: {result.message}", err=True)
        raise SystemExit(result.exit_code)


@click.command(short_help="Attach to a running container")
@click.argument("container")
@click.option("--no-stdin", is_flag=True, help="Only look.")
def attach(container: str, no_stdin: bool) -> None:
    """Connect this terminal to CONTAINER's; Ctrl-P Ctrl-Q detaches from one with a terminal."""
    with failures():
        connected = session()
        found = connected.find_container(container)
        information = _information(connected, found.id)
        tty, stdin = bool(information.get("tty")), bool(information.get("stdin")) and not no_stdin
        request = cri.AttachRequest(container_id=found.id, stdin=stdin, stdout=True, stderr=not tty, tty=tty)
        streams = Streams(connected.runtime.Attach(request, timeout=QUICK_S).url, tty=tty, stdin=stdin)
        streams.open()
        if not streams.run().detached:
            answer = connected.containers.Wait(containers_pb2.WaitRequest(container_id=found.id))
            raise SystemExit(answer.exit_code)


def _information(connected: Session, identifier: str) -> dict[str, Any]:
    """What ContainerStatus says with verbose: terminal and standard input, from the configuration."""
    request = cri.ContainerStatusRequest(container_id=identifier, verbose=True)
    answer = connected.runtime.ContainerStatus(request, timeout=QUICK_S)
    found = json.loads(answer.info.get("info", "{}"))
    return {**(found.get("config") or {}), **found}


@click.command(short_help="Stop containers")
@click.argument("containers", nargs=-1, required=True)
@click.option("-t", "--time", "seconds", default=10, show_default=True, help="Seconds until SIGKILL.")
def stop(containers: tuple[str, ...], seconds: int) -> None:
    """Send each its stop signal, and SIGKILL when it does not end in time."""

    def one(connected: Session, container: Any) -> None:
        request = cri.StopContainerRequest(container_id=container.id, timeout=seconds)
        connected.runtime.StopContainer(request, timeout=seconds + QUICK_S)

    _each(containers, one)


@click.command(short_help="Send a signal to containers")
@click.argument("containers", nargs=-1, required=True)
@click.option("-s", "--signal", "name", default="KILL", show_default=True)
def kill(containers: tuple[str, ...], name: str) -> None:
    """Send a signal to each one's first process."""

    def one(connected: Session, container: Any) -> None:
        request = containers_pb2.SignalRequest(container_id=container.id, signal=name)
        connected.containers.Signal(request, timeout=QUICK_S)

    _each(containers, one)


@click.command(short_help="Remove containers")
@click.argument("containers", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Also when it runs: it is killed.")
def rm(containers: tuple[str, ...], force: bool) -> None:
    """Remove each, with its writable layer and its log."""

    def one(connected: Session, container: Any) -> None:
        if container.state == cri.CONTAINER_RUNNING and not force:
            raise click.ClickException(f"container {name_of(container)} runs: stop it first, or use --force")
        remove(connected, container)

    _each(containers, one)


def remove(connected: Session, container: Any) -> None:
    """With its sandbox where ``run`` has made it and nobody else is in it."""
    if configs.STANDALONE in container.labels:
        others = [each for each in connected.list_containers() if each.pod_sandbox_id == container.pod_sandbox_id]
        log = Path(status_of(connected, container.id).log_path).parent
        if len(others) <= 1:
            request = cri.RemovePodSandboxRequest(pod_sandbox_id=container.pod_sandbox_id)
            connected.runtime.RemovePodSandbox(request, timeout=QUICK_S)
        else:
            connected.runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=container.id), timeout=QUICK_S)
        if log.parent == LOGS:
            shutil.rmtree(log, ignore_errors=True)
        return
    connected.runtime.RemoveContainer(cri.RemoveContainerRequest(container_id=container.id), timeout=QUICK_S)


def _each(references: tuple[str, ...], action: Any) -> None:
    """Says each name that worked; one that did not spoils the exit status, not the others."""
    connected = session()
    failed = False
    for reference in references:
        try:
            with failures():
                action(connected, connected.find_container(reference))
            click.echo(reference)
        except click.ClickException as error:
            click.echo(f"knarr-runtime: {error.message}", err=True)
            failed = True
        except SystemExit:
            failed = True
    raise SystemExit(1 if failed else 0)


@click.command(short_help="Wait until containers have ended")
@click.argument("containers", nargs=-1, required=True)
def wait(containers: tuple[str, ...]) -> None:
    """Print the exit code of each as it ends."""
    with failures():
        connected = session()
        for reference in containers:
            request = containers_pb2.WaitRequest(container_id=connected.find_container(reference).id)
            click.echo(connected.containers.Wait(request).exit_code)


@click.command(short_help="Show everything about containers or images")
@click.argument("names", nargs=-1, required=True)
@click.option("--type", "kind", type=click.Choice(["container", "image"]), help="Where a name is both.")
def inspect(names: tuple[str, ...], kind: str | None) -> None:
    """Print JSON."""
    from google.protobuf.json_format import MessageToDict

    from knarr_runtime.cli.images import inspected

    with failures():
        connected = session()
        found = []
        for name in names:
            known = [each for each in connected.list_containers() if name in (each.id, name_of(each))] or [
                each for each in connected.list_containers() if each.id.startswith(name)
            ]
            if kind == "image" or (kind is None and not known):
                found.append(inspected(connected, name))
                continue
            container = connected.find_container(name)
            request = cri.ContainerStatusRequest(container_id=container.id, verbose=True)
            answer = connected.runtime.ContainerStatus(request, timeout=QUICK_S)
            info = {key: json.loads(value) for key, value in answer.info.items()}
            found.append({"name": name_of(container), **MessageToDict(answer.status), **info})
        click.echo(json.dumps(found, indent=2))


@click.command(short_help="Show ports of the host that lead to a container")
@click.argument("container")
def port(container: str) -> None:
    """One line a port: ``80/tcp -> 0.0.0.0:8080``."""
    with failures():
        found = session().find_container(container)
        for text in filter(None, configs.shown_ports(found.annotations).split(", ")):
            outside, _, inside = text.partition("->")
            click.echo(f"{inside} -> {outside}")


@click.command(short_help="Show what containers use")
@click.argument("containers", nargs=-1)
@click.option("--no-stream", is_flag=True, help="Once.")
@click.option("-o", "--output", "form", type=OUTPUTS, default="table")
def stats(containers: tuple[str, ...], no_stream: bool, form: str) -> None:
    """CPU, memory and the writable layer of the containers that run, again every second."""
    with failures():
        connected = session()
        wanted = {connected.find_container(reference).id for reference in containers}
        before = _measured(connected, wanted)
        time.sleep(0.5)
        while True:
            now = _measured(connected, wanted)
            rows = [_usage(each, before.get(identifier)) for identifier, each in now.items()]
            titles = ("CONTAINER ID", "NAME", "CPU %", "MEM USAGE", "WRITABLE LAYER")
            keys = ("id", "name", "cpu", "memory", "writableLayer")
            if form == "table" and not no_stream and sys.stdout.isatty():
                click.echo(CLEAR, nl=False)
            show(titles, rows, [dict(zip(keys, row, strict=True)) for row in rows], form)
            if no_stream or form == "json":
                return
            before = now
            time.sleep(1.0)


def _measured(connected: Session, wanted: set[str]) -> dict[str, Any]:
    answer = connected.runtime.ListContainerStats(cri.ListContainerStatsRequest(), timeout=QUICK_S)
    return {each.attributes.id: each for each in answer.stats if not wanted or each.attributes.id in wanted}


def _usage(now: Any, before: Any) -> tuple[str, ...]:
    share = 0.0
    if before is not None and now.cpu.timestamp > before.cpu.timestamp:
        used = now.cpu.usage_core_nano_seconds.value - before.cpu.usage_core_nano_seconds.value
        share = 100 * used / (now.cpu.timestamp - before.cpu.timestamp)
    return (
        short(now.attributes.id),
        name_of(now.attributes),
        f"{share:.2f}%",
        human_size(now.memory.working_set_bytes.value, binary=True),
        human_size(now.writable_layer.used_bytes.value),
    )


def signal_names() -> list[str]:
    """For completion."""
    return [each.name for each in signal.Signals]
