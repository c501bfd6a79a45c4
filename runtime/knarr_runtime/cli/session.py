"""The connection to the daemon, and how a verb fails: one line on standard error and an exit status as Docker's."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.cri import api_pb2_grpc
from knarr_proto.runtime.v1 import containers_pb2, containers_pb2_grpc, images_pb2_grpc
from knarr_runtime.errors import Invalid

DEFAULT_SOCKET = Path("/run/knarr/runtime.sock")
OPTIONS = (("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20))
CONNECT_S = 3.0
QUICK_S = 120.0
"""For calls that take no work worth mentioning."""


class Session:
    """Stubs of the daemon's services on one channel."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=OPTIONS)
        self.runtime: Any = api_pb2_grpc.RuntimeServiceStub(self.channel)
        self.cri_images: Any = api_pb2_grpc.ImageServiceStub(self.channel)
        self.images: Any = images_pb2_grpc.ImagesStub(self.channel)
        self.builds: Any = images_pb2_grpc.BuildsStub(self.channel)
        self.containers: Any = containers_pb2_grpc.ContainersStub(self.channel)
        self.volumes: Any = containers_pb2_grpc.VolumesStub(self.channel)

    def check(self) -> None:
        """Exits with 125 and a remedy when no daemon answers."""
        try:
            grpc.channel_ready_future(self.channel).result(timeout=CONNECT_S)
        except grpc.FutureTimeoutError:
            fail(f"no runtime answers on {self.socket}: start one with 'knarr-runtime serve' (as root)", 125)

    def list_containers(self) -> list[Any]:
        """All, newest first."""
        answer = self.runtime.ListContainers(cri.ListContainersRequest(), timeout=QUICK_S)
        return sorted(answer.containers, key=lambda each: -each.created_at)

    def find_container(self, reference: str) -> Any:
        """By name, id or unique beginning of an id. Exits when there is none, or several."""
        containers = self.list_containers()
        exact = [each for each in containers if reference in (each.id, name_of(each))]
        found = exact or [each for each in containers if each.id.startswith(reference)]
        if not found:
            fail(f"No such container: {reference}")
        if len(found) > 1:
            fail(f"{reference} is several containers: {', '.join(each.id[:12] for each in found)}")
        return found[0]


def name_of(container: Any) -> str:
    """As ``ps`` shows it: a pod's containers are told apart by the pod's name."""
    pod = container.labels.get("io.kubernetes.pod.name")
    if pod is None:
        return str(container.metadata.name)
    return f"k8s_{container.metadata.name}_{pod}_{container.labels.get('io.kubernetes.pod.namespace', 'default')}"


def fail(message: str, status: int = 1) -> NoReturn:
    """Say what is wrong and end."""
    click.echo(f"knarr-runtime: {message}", err=True)
    raise SystemExit(status)


@contextlib.contextmanager
def failures(status: int = 1) -> Iterator[None]:
    """Turns what the daemon refuses, and wrong input, into one line and an exit status."""
    try:
        yield
    except Invalid as error:
        fail(str(error), max(status, 1))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.CANCELLED:
            raise SystemExit(130) from None
        fail(str(error.details() or error.code().name.lower()), status)
    except KeyboardInterrupt:  # click would say "Aborted!" and end with 1
        raise SystemExit(130) from None
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(141) from None


def session() -> Session:
    """The session of the command that runs; exits when no daemon answers."""
    found: Session = click.get_current_context().find_root().obj
    found.check()
    return found


def waiting(
    connected: Session, identifier: str, *, removed: bool = False, timeout_s: float | None = None
) -> Iterator[Any]:
    """Gives the container's WaitResponse when it has ended; from this call on its end is not missed."""
    request = containers_pb2.WaitRequest(container_id=identifier, removed=removed)
    answers: Any = connected.containers.Wait(request, timeout=timeout_s)
    answers.initial_metadata()
    found: Iterator[Any] = answers
    return found


def each_container(references: tuple[str, ...], action: Callable[[Session, Any], object]) -> NoReturn:
    """Says each name that worked; one that did not spoils the exit status, not the others. Exits."""
    connected = session()
    failed = False
    for reference in references:
        try:
            with failures():
                action(connected, connected.find_container(reference))
            click.echo(reference)
        except SystemExit as error:
            if error.code == 130:
                raise
            failed = True
    raise SystemExit(1 if failed else 0)
