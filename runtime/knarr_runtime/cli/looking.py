"""Verbs that show containers: inspect, port, stats, diff, and their output: logs."""

from __future__ import annotations

import datetime
import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import configs, inspecting, logs, templates
from knarr_runtime.cli.images import inspected
from knarr_runtime.cli.inspecting import status_of
from knarr_runtime.cli.names import CONTAINER, RUNNING
from knarr_runtime.cli.output import OUTPUTS, document_text, human_size, short, show
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, name_of, session
from knarr_runtime.cli.verbs import verb

CLEAR = "\x1b[H\x1b[J"


@verb(short_help="Print a container's output")
@click.argument("container", shell_complete=CONTAINER)
@click.option("-f", "--follow", is_flag=True, help="Go on until the container ends.")
@click.option("-n", "--tail", default="all", metavar="LINES", help="Only the last lines.")
@click.option("-t", "--timestamps", is_flag=True, help="Show when each line was written.")
@click.option("--since", default="", metavar="TIME", help="RFC 3339, or so long ago: 10m.")
@click.option("--until", default="", metavar="TIME", help="RFC 3339, or so long ago: 10m.")
@click.option("--details", is_flag=True, help="Also the container's labels, before each line.")
def logs_command(
    container: str, follow: bool, tail: str, timestamps: bool, since: str, until: str, details: bool
) -> None:
    """Print what CONTAINER has written to its standard output and error, over all its starts.

    \b
    Examples:
      knarr-runtime logs -f --tail 20 web
      knarr-runtime logs -t --since 1h --until 10m web
    """
    with failures():
        connected = session()
        found = connected.find_container(container)
        path = Path(status_of(connected, found.id).log_path)
        if not path.name:
            fail(f"container {container} keeps no log")
        if tail != "all" and not tail.isdecimal():
            fail(f"tail {tail!r}: write a number of lines, or all")
        now = datetime.datetime.now(datetime.UTC)
        shown = _Shown(
            since=logs.since(since, now) if since else "",
            until=logs.since(until, now) if until else "~",
            timestamps=timestamps,
            details=",".join(f"{k}={v}" for k, v in inspecting.shown_labels(found).items()) if details else "",
        )

        def running() -> bool:
            return bool(status_of(connected, found.id).state == cri.CONTAINER_RUNNING)

        count = None if tail == "all" else int(tail)
        following = follow and not until
        if following and count is None:
            lines = logs.joined(logs.follow(path, running, time.sleep))
        else:
            lines = iter(logs.last(filter(shown.wants, logs.joined(logs.read(path))), count))
        for line in filter(shown.wants, lines):
            shown.print(line)
        if following and count is not None:
            seen = sum(1 for _ in logs.read(path))
            everything = logs.follow(path, running, time.sleep)
            for line in logs.joined(raw for number, raw in enumerate(everything) if number >= seen):
                shown.print(line)


class _Shown:
    """Which lines, and how."""

    def __init__(self, *, since: str, until: str, timestamps: bool, details: str) -> None:
        self._since = since
        self._until = until
        self._prefix = details.encode() + b" " if details else b""
        self._timestamps = timestamps

    def wants(self, line: logs.Line) -> bool:
        return self._since <= line.time <= self._until

    def print(self, line: logs.Line) -> None:
        output = sys.stderr.buffer if line.stream == "stderr" else sys.stdout.buffer
        output.write((line.time.encode() + b" " if self._timestamps else b"") + self._prefix + line.text)
        output.flush()


@verb(short_help="Show everything about containers, images or volumes")
@click.argument("names", nargs=-1, required=True, shell_complete=CONTAINER)
@click.option("--type", "kind", type=click.Choice(["container", "image", "volume"]), help="Where a name is several.")
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="As Go's: '{{.State.Status}}'.")
@click.option("-s", "--size", is_flag=True, help="Also what a container takes on disk.")
@click.option("-o", "--output", "form", type=click.Choice(["json", "yaml"]), default="json", show_default=True)
def inspect(names: tuple[str, ...], kind: str | None, template: str, size: bool, form: str) -> None:
    """Print documents as Docker's; what only this runtime knows is below ``Runtime``.

    \b
    Examples:
      knarr-runtime inspect -f '{{.State.Status}} {{.NetworkSettings.IPAddress}}' web
      knarr-runtime inspect -f '{{range .Mounts}}{{.Source}} {{end}}' web
    """
    with failures():
        connected = session()
        found = [_document(connected, name, kind, size=size) for name in names]
        if not template:
            click.echo(document_text(found, form))
        elif template == "json":
            click.echo("\n".join(json.dumps(each) for each in found))
        else:
            parsed = templates.Template(template)
            click.echo("\n".join(parsed.render(each) for each in found))


def _document(connected: Session, name: str, kind: str | None, *, size: bool) -> dict[str, Any]:
    if kind in (None, "container"):
        all_of_them = connected.list_containers()
        if kind == "container" or any(name == name_of(each) or each.id.startswith(name) for each in all_of_them):
            return inspecting.document(connected, connected.find_container(name), sizes=size)
    if kind in (None, "volume"):
        for volume in connected.volumes.List(containers_pb2.VolumeListRequest(), timeout=QUICK_S).volumes:
            if volume.name == name:
                return volume_document(volume)
        if kind == "volume":
            fail(f"no such volume: {name}")
    return inspected(connected, name)


def volume_document(volume: Any) -> dict[str, Any]:
    created = datetime.datetime.fromtimestamp(volume.created_at_ns // 10**9, datetime.UTC)
    return {
        "Name": volume.name,
        "Driver": "local",
        "Mountpoint": volume.path,
        "CreatedAt": f"{created:%Y-%m-%dT%H:%M:%SZ}",
        "Labels": dict(volume.labels),
        "Anonymous": volume.anonymous,
        "Containers": list(volume.container_ids),
        "Scope": "local",
    }


@verb(short_help="Show ports of the host that lead to a container")
@click.argument("container", shell_complete=RUNNING)
@click.argument("wanted", required=False, metavar="[PORT[/PROTOCOL]]")
def port(container: str, wanted: str | None) -> None:
    """One line a port: ``80/tcp -> 0.0.0.0:8080``; of PORT only where it is on the host.

    \b
    Example:
      knarr-runtime port web 80
    """
    with failures():
        found = session().find_container(container)
        asked = wanted if wanted is None or "/" in wanted else f"{wanted}/tcp"
        pairs = [text.split("->") for text in filter(None, configs.shown_ports(found.annotations).split(", "))]
        if asked is not None and asked not in (inside for _, inside in pairs):
            fail(f"port {asked} of container {container} is not published")
        for outside, inside in pairs:
            if asked in (None, inside):
                click.echo(outside if asked else f"{inside} -> {outside}")


@verb(short_help="Show what a container has changed of its image")
@click.argument("container", shell_complete=CONTAINER)
def diff(container: str) -> None:
    """One line a path: A for added, C for changed, D for deleted.

    \b
    Example:
      knarr-runtime diff web
    """
    with failures():
        connected = session()
        request = containers_pb2.ChangesRequest(container_id=connected.find_container(container).id)
        for change in connected.containers.Changes(request).changes:
            click.echo(f"{change.kind} {change.path}")


@verb(short_help="Show what containers use")
@click.argument("containers", nargs=-1, shell_complete=RUNNING)
@click.option("--no-stream", is_flag=True, help="Once.")
@click.option("-o", "--output", "form", type=OUTPUTS, default="table")
def stats(containers: tuple[str, ...], no_stream: bool, form: str) -> None:
    """CPU, memory and the writable layer of the containers that run, again every second.

    \b
    Example:
      knarr-runtime stats --no-stream -o json
    """
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
            if no_stream or form in ("json", "yaml"):
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
