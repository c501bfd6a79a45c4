"""Verbs on the whole: events, df, info, prune."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from typing import Any

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2, images_pb2
from knarr_runtime.cli import inspecting, logs, templates
from knarr_runtime.cli.output import document_text, human_size, short, table
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, name_of, session
from knarr_runtime.cli.stopping import remove
from knarr_runtime.cli.verbs import verb
from knarr_runtime.cri import standalone

ACTIONS = {
    cri.CONTAINER_CREATED_EVENT: "create",
    cri.CONTAINER_STARTED_EVENT: "start",
    cri.CONTAINER_STOPPED_EVENT: "die",
    cri.CONTAINER_DELETED_EVENT: "destroy",
}
FILTERS = ("container", "event", "image", "label", "type")


@verb(short_help="Show what happens to containers")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=f"{', '.join(FILTERS)}.")
@click.option("--until", default="", metavar="TIME", help="End then: RFC 3339, or a time from now: 10s.")
@click.option(
    "--format", "template", default="", metavar="TEMPLATE", help="As Go's: '{{.Action}} {{.Actor.ID}}', or json."
)
def events(filters: tuple[str, ...], until: str, template: str) -> None:
    """One line an event, as it comes: create, start, die, destroy. Events of before are not kept.

    \b
    Example:
      knarr-runtime events --filter event=die --format '{{.Actor.Attributes.name}}'
    """
    with failures():
        connected = session()
        wanted: dict[str, list[str]] = {}
        for text in filters:
            key, _, value = text.partition("=")
            if key not in FILTERS:
                fail(f"filter {text!r} is not supported: {', '.join(f'{each}=' for each in FILTERS)} are")
            wanted.setdefault(key, []).append(value)
        shown = templates.Template(template) if template and template != "json" else None
        for event in _events(connected, _seconds(until) if until else None):
            if all(any(_matches(key, value, event) for value in values) for key, values in wanted.items()):
                if shown is not None:
                    click.echo(shown.render(event))
                else:
                    click.echo(json.dumps(event) if template else _line(event))


def _seconds(until: str) -> float:
    from knarr_runtime.cli.parsing import duration_s

    if until[:4].isdecimal() and until[4:5] == "-":
        now = datetime.datetime.now(datetime.UTC)
        moment = datetime.datetime.fromisoformat(logs.since(until, now).replace("Z", "+00:00"))
        return max((moment - now).total_seconds(), 0.0)
    return duration_s(until)


def _events(connected: Session, timeout_s: float | None) -> Iterator[dict[str, Any]]:
    names: dict[str, Any] = {each.id: each for each in connected.list_containers()}
    try:
        for answer in connected.runtime.GetContainerEvents(cri.GetEventsRequest(), timeout=timeout_s):
            if answer.container_id == answer.pod_sandbox_status.id:
                continue  # of the pod itself
            status = next((one for one in answer.containers_statuses if one.id == answer.container_id), None)
            if status is not None:
                names[answer.container_id] = status
            known = status or names.get(answer.container_id)
            yield _document(answer, known)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
            raise


def _document(answer: Any, known: Any) -> dict[str, Any]:
    """With Docker's names."""
    action = ACTIONS.get(answer.container_event_type, "")
    attributes: dict[str, str] = {}
    if known is not None:
        attributes = {**inspecting.shown_labels(known), "name": name_of(known)}
        attributes["image"] = known.image.user_specified_image or known.image.image
        if action == "die":
            attributes["exitCode"] = str(known.exit_code)
    return {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": answer.container_id, "Attributes": attributes},
        "time": answer.created_at // 10**9,
        "timeNano": answer.created_at,
    }


def _matches(key: str, value: str, event: dict[str, Any]) -> bool:
    attributes = event["Actor"]["Attributes"]
    match key:
        case "container":
            return bool(value == attributes.get("name")) or event["Actor"]["ID"].startswith(value)
        case "event":
            return bool(value == event["Action"])
        case "image":
            return bool(value == attributes.get("image"))
        case "type":
            return value == "container"
    name, equals, wanted = value.partition("=")
    return name in attributes and (not equals or attributes[name] == wanted)


def _line(event: dict[str, Any]) -> str:
    moment = datetime.datetime.fromtimestamp(event["time"]).astimezone()
    attributes = ", ".join(f"{key}={value}" for key, value in sorted(event["Actor"]["Attributes"].items()))
    nanoseconds = event["timeNano"] % 10**9
    stamp = f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}{moment:%z}"
    return f"{stamp} container {event['Action']} {event['Actor']['ID']} ({attributes})"


@verb(short_help="Show what takes room on disk")
@click.option("-v", "--verbose", is_flag=True, help="Each image, container and volume.")
@click.option("--format", "template", default="", metavar="TEMPLATE", help="As Go's: '{{.Type}} {{.Size}}', or json.")
def df(verbose: bool, template: str) -> None:
    """Images, containers' writable layers and volumes, and what of it nothing uses.

    \b
    Example:
      knarr-runtime df -v
    """
    with failures():
        connected = session()
        images = connected.cri_images.ListImages(cri.ListImagesRequest(), timeout=QUICK_S).images
        containers = connected.list_containers()
        told = inspecting.descriptions(connected, sizes=True)
        volumes = connected.volumes.List(containers_pb2.VolumeListRequest(sizes=True)).volumes
        layers = {each.id: told[each.id].layer_bytes for each in containers if each.id in told}
        running = {each.id for each in containers if each.state == cri.CONTAINER_RUNNING}
        used = {each.image_id for each in containers}
        rows = [
            _row("Images", [(each.size, each.id in used) for each in images]),
            _row("Containers", [(size, identifier in running) for identifier, size in layers.items()]),
            _row("Volumes", [(each.bytes, bool(each.container_ids)) for each in volumes]),
        ]
        if template:
            click.echo(templates.listed(template, rows, table))
            return
        titles = ("TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE")
        click.echo(
            table(
                titles,
                [[str(row[key]) for key in ("Type", "TotalCount", "Active", "Size", "Reclaimable")] for row in rows],
            )
        )
        if verbose:
            named = [(name_of(each), human_size(layers.get(each.id, 0))) for each in containers]
            tags = [(", ".join(each.repo_tags) or short(each.id), human_size(each.size)) for each in images]
            held = [(each.name, human_size(each.bytes)) for each in volumes]
            for title, lines in (("IMAGE", tags), ("CONTAINER", named), ("VOLUME", held)):
                click.echo(f"\n{table((title, 'SIZE'), lines)}")


def _row(kind: str, sizes: list[tuple[int, bool]]) -> dict[str, Any]:
    total, free = sum(size for size, _ in sizes), sum(size for size, active in sizes if not active)
    share = f" ({100 * free // total}%)" if total else ""
    return {
        "Type": kind,
        "TotalCount": len(sizes),
        "Active": sum(1 for _, active in sizes if active),
        "Size": human_size(total),
        "Reclaimable": f"{human_size(free)}{share}",
    }


@verb(short_help="Show how the daemon is and what it has")
@click.option("-o", "--output", "form", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="As Go's: '{{.Containers}}'.")
def info(form: str, template: str) -> None:
    """Counts, versions, kernel, and what this machine does not allow.

    \b
    Example:
      knarr-runtime info -f '{{.ContainersRunning}}'
    """
    import os

    with failures():
        connected = session()
        version = connected.runtime.Version(cri.VersionRequest(), timeout=QUICK_S)
        answer = connected.runtime.Status(cri.StatusRequest(verbose=True), timeout=QUICK_S)
        config = json.loads(answer.info.get("config", "{}"))
        words = [inspecting.state_word(each.state, told) for each, told in _with_descriptions(connected)]
        kernel = os.uname()
        document = {
            "Containers": len(words),
            "ContainersRunning": words.count("running") + words.count("restarting"),
            "ContainersPaused": words.count("paused"),
            "ContainersStopped": len(words) - sum(words.count(word) for word in ("running", "restarting", "paused")),
            "Images": len(connected.cri_images.ListImages(cri.ListImagesRequest(), timeout=QUICK_S).images),
            "ServerVersion": version.runtime_version,
            "Driver": "overlay2",
            "CgroupDriver": "cgroupfs",
            "CgroupVersion": str(config.get("cgroupVersion", "")),
            "CgroupParent": config.get("cgroupRoot", ""),
            "NetworkReady": all(each.status for each in answer.status.conditions if each.type == "NetworkReady"),
            "KernelVersion": kernel.release,
            "Architecture": kernel.machine,
            "OSType": "linux",
            "NCPU": os.cpu_count(),
            "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "Name": kernel.nodename,
            "StateDirectory": config.get("stateDir", ""),
            "Socket": str(connected.socket),
            "Warnings": json.loads(answer.info.get("limits", "[]")),
        }
        if template:
            click.echo(templates.Template(template).render(document))
        elif form != "text":
            click.echo(document_text(document, form))
        else:
            for key, value in document.items():
                if isinstance(value, list):
                    click.echo(f"{key}:" + "".join(f"\n  {one}" for one in value) if value else f"{key}: none")
                else:
                    click.echo(f"{key}: {human_size(value, binary=True) if key == 'MemTotal' else value}")


def _with_descriptions(connected: Session) -> Iterator[tuple[Any, Any]]:
    told = inspecting.descriptions(connected)
    for each in connected.list_containers():
        yield each, told.get(each.id)


@verb(short_help="Remove what is not used")
@click.option("-a", "--all", "everything", is_flag=True, help="Every image without a container.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
@click.option("--volumes", is_flag=True, help="Also the volumes of those containers that have no name.")
def prune(everything: bool, force: bool, volumes: bool) -> None:
    """Remove containers of ``run`` that have ended, images without a name, and rubbish.

    \b
    Example:
      knarr-runtime prune -af --volumes
    """
    with failures():
        connected = session()
        what = "every image that no container uses" if everything else "all images without a name"
        if not force:
            question = f"This removes all containers that have ended, and {what}. Go on?"
            click.confirm(question, abort=True, err=True)
        for container in connected.list_containers():
            if container.state == cri.CONTAINER_EXITED and standalone.STANDALONE in container.labels:
                remove(connected, container, volumes=volumes)
                click.echo(f"Deleted container: {short(container.id)}")
        answer = connected.images.Prune(images_pb2.PruneRequest(all=everything), timeout=QUICK_S)
        for name in answer.images:
            click.echo(f"Deleted image: {name}")
        click.echo(f"Total reclaimed space: {human_size(answer.freed_bytes)}")
