"""``ps``: which containers there are."""

from __future__ import annotations

import datetime
import time
from collections.abc import Mapping
from typing import Any

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cli import configs, templates
from knarr_runtime.cli.inspecting import descriptions, shown_labels, state_word, status_of
from knarr_runtime.cli.output import OUTPUTS, ago, human_size, short, show, table
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, name_of, session
from knarr_runtime.cli.verbs import verb
from knarr_runtime.cri import standalone

FILTERS = ("id", "name", "label", "status", "exited", "ancestor", "before", "since", "volume", "network", "publish")
KEYS = ("ID", "Image", "Command", "RunningFor", "Status", "Ports", "Names")
TITLES = ("CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES")


@verb(short_help="List containers")
@click.option("-a", "--all", "everything", is_flag=True, help="Also those that don't run.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("-n", "--last", default=-1, metavar="NUMBER", help="The last that were created, also if they don't run.")
@click.option("-l", "--latest", is_flag=True, help="The same as -n 1.")
@click.option("-s", "--size", is_flag=True, help="Also what they take on disk.")
@click.option("--no-trunc", is_flag=True, help="Whole ids and commands.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=f"{', '.join(FILTERS)}.")
@click.option("--format", "template", default="", metavar="TEMPLATE", help="'table {{.Names}}\\t{{.Status}}', or json.")
@click.option("-o", "--output", "form", type=OUTPUTS, default="table")
def ps(
    everything: bool,
    quiet: bool,
    last: int,
    latest: bool,
    size: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    template: str,
    form: str,
) -> None:
    """List the containers that run, newest first.

    \b
    Examples:
      knarr-runtime ps -a --filter status=exited --filter label=tier=front
      knarr-runtime ps --format '{{.Names}}: {{.Status}}'
    """
    with failures():
        connected = session()
        wanted = _Wanted(connected, filters)
        count = 1 if latest else last
        everything = everything or count >= 0 or wanted.any_state
        told = descriptions(connected, sizes=size)
        found = [each for each in wanted.containers if everything or each.state == cri.CONTAINER_RUNNING]
        documents = []
        for each in found:
            try:
                status = status_of(connected, each.id)
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.NOT_FOUND:
                    continue  # it was removed meanwhile
                raise
            if wanted.passes(each, status, told.get(each.id)):
                documents.append(_document(each, status, told.get(each.id), no_trunc=no_trunc))
        documents = documents[:count] if count >= 0 else documents
    with failures():
        _show(documents, quiet=quiet, size=size, template=template, form=form)


def _show(documents: list[dict[str, Any]], *, quiet: bool, size: bool, template: str, form: str) -> None:
    if quiet and not template:
        for each in documents:
            click.echo(each["ID"])
    elif template:
        text = templates.listed(template, documents, table)
        click.echo(text) if text else None
    else:
        keys = (*KEYS, "Size") if size else KEYS
        plain = [{key: value for key, value in each.items() if not callable(value)} for each in documents]
        show((*TITLES, "SIZE") if size else TITLES, [[each[key] for key in keys] for each in documents], plain, form)


def _document(container: Any, status: Any, told: Any, *, no_trunc: bool) -> dict[str, Any]:
    """With Docker's names."""
    now = time.time_ns()
    command = configs.shown_command(container.annotations)
    if not no_trunc and len(command) > 22:
        command = command[:21] + "…"
    labels = shown_labels(container)
    layer, image = (told.layer_bytes, told.image_bytes) if told is not None else (0, 0)
    created = datetime.datetime.fromtimestamp(container.created_at // 10**9).astimezone()
    return {
        "ID": container.id if no_trunc else short(container.id),
        "Image": container.image.user_specified_image or container.image.image,
        "Command": f'"{command}"' if command else "",
        "CreatedAt": f"{created:%Y-%m-%d %H:%M:%S %z %Z}",
        "RunningFor": f"{ago((now - container.created_at) / 1e9)} ago",
        "State": state_word(status.state, told),
        "Status": state_text(status, told, now),
        "Ports": configs.shown_ports(container.annotations),
        "Names": name_of(container),
        "Size": f"{human_size(layer)} (virtual {human_size(layer + image)})",
        "Labels": ",".join(f"{key}={value}" for key, value in sorted(labels.items())),
        "Label": lambda key: labels.get(key, ""),
        "Mounts": ",".join(standalone.volumes(container)),
        "Networks": container.annotations.get(configs.NETWORK, "bridge"),
    }


def state_text(status: Any, told: Any, now_ns: int) -> str:
    """``Up 3 hours (Paused)``, ``Exited (137) 5 minutes ago``."""
    word = state_word(status.state, told)
    if word in ("running", "paused"):
        return f"Up {ago((now_ns - status.started_at) / 1e9)}{' (Paused)' if word == 'paused' else ''}"
    if word in ("exited", "restarting"):
        since = ago((now_ns - status.finished_at) / 1e9)
        return f"{word.capitalize()} ({status.exit_code}) {since} ago"
    return "Created" if word == "created" else "Unknown"


class _Wanted:
    """The filters: of one key any, of different keys all, and all labels. Exits for a filter that is not known."""

    def __init__(self, connected: Session, filters: tuple[str, ...]) -> None:
        self.containers = connected.list_containers()
        self._connected = connected
        self._values: dict[str, list[str]] = {}
        for text in filters:
            key, _, value = text.partition("=")
            if key not in FILTERS:
                fail(f"filter {text!r} is not supported: {', '.join(f'{each}=' for each in FILTERS)} are")
            self._values.setdefault(key, []).append(value)
        self.any_state = bool({"status", "exited"} & self._values.keys())
        self._ancestors = {image for name in self._values.get("ancestor", ()) for image in self._image(name)}
        self._bounds = {
            key: [connected.find_container(name).created_at for name in self._values.get(key, ())]
            for key in ("before", "since")
        }

    def _image(self, name: str) -> list[str]:
        request = cri.ImageStatusRequest(image=cri.ImageSpec(image=name))
        found = self._connected.cri_images.ImageStatus(request, timeout=QUICK_S).image.id
        return [found] if found else []

    def passes(self, container: Any, status: Any, told: Any) -> bool:
        return all(self._one(key, values, container, status, told) for key, values in self._values.items())

    def _one(self, key: str, values: list[str], container: Any, status: Any, told: Any) -> bool:
        if key == "label":
            return all(_has_label(container.labels, value) for value in values)
        if key == "ancestor":
            return container.image_id in self._ancestors
        if key == "before":
            return any(container.created_at < bound for bound in self._bounds[key])
        if key == "since":
            return any(container.created_at > bound for bound in self._bounds[key])
        return any(_matches(key, value, container, status, told) for value in values)


def _has_label(labels: Mapping[str, str], text: str) -> bool:
    name, equals, wanted = text.partition("=")
    return name in labels and (not equals or labels[name] == wanted)


def _matches(key: str, value: str, container: Any, status: Any, told: Any) -> bool:
    match key:
        case "id":
            return str(container.id).startswith(value)
        case "name":
            return value in name_of(container)
        case "status":
            return value == state_word(status.state, told)
        case "exited":
            return bool(status.state == cri.CONTAINER_EXITED) and value == str(status.exit_code)
        case "volume":
            targets = {mount.container_path for mount in status.mounts}
            return value in standalone.volumes(container) or value in targets
        case "network":
            return bool(value == container.annotations.get(configs.NETWORK, "bridge"))
    return any(value.partition("/")[0] in part for part in configs.shown_ports(container.annotations).split(", "))
