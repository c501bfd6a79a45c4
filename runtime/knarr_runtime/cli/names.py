"""Shell completion of names: what the daemon has. Without a daemon there is nothing to offer."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import click
import grpc
from click.shell_completion import CompletionItem

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli.session import DEFAULT_SOCKET, Session, name_of

PATIENCE_S = 1.0
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def _completing(names: Callable[[Session], Iterable[str]]) -> Complete:
    def complete(context: click.Context, parameter: click.Parameter, typed: str) -> list[CompletionItem]:
        root = context.find_root()
        connected = root.obj or Session(root.params.get("socket") or DEFAULT_SOCKET)
        try:
            return [CompletionItem(name) for name in sorted(set(names(connected))) if name.startswith(typed)]
        except grpc.RpcError:
            return []

    return complete


def _containers(*states: Any) -> Complete:
    def names(connected: Session) -> Iterable[str]:
        answer = connected.runtime.ListContainers(cri.ListContainersRequest(), timeout=PATIENCE_S)
        return (name_of(each) for each in answer.containers if not states or each.state in states)

    return _completing(names)


def _images(connected: Session) -> Iterable[str]:
    answer = connected.cri_images.ListImages(cri.ListImagesRequest(), timeout=PATIENCE_S)
    return (familiar(tag) for image in answer.images for tag in image.repo_tags)


def _volumes(connected: Session) -> Iterable[str]:
    answer = connected.volumes.List(containers_pb2.VolumeListRequest(), timeout=PATIENCE_S)
    return (each.name for each in answer.volumes)


def familiar(name: str) -> str:
    """An image's name as people write it: without ``docker.io/library/``."""
    return name.removeprefix("docker.io/").removeprefix("library/")


CONTAINER = _containers()
RUNNING = _containers(cri.CONTAINER_RUNNING)
IMAGE = _completing(_images)
VOLUME = _completing(_volumes)
