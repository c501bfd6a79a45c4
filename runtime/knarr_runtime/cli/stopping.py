"""Verbs that end containers, hold them, or take them away: stop, kill, pause, unpause, rm, wait."""

from __future__ import annotations

from typing import Any

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import configs
from knarr_runtime.cli.names import CONTAINER, RUNNING
from knarr_runtime.cli.session import QUICK_S, Session, each_container, failures, session, waiting
from knarr_runtime.cli.verbs import verb

DEFAULT_STOP_S = 10


@verb(short_help="Stop containers")
@click.argument("containers", nargs=-1, required=True, shell_complete=RUNNING)
@click.option("-t", "--time", "--timeout", "seconds", type=int, help="Seconds until SIGKILL; else its --stop-timeout.")
@click.option("-s", "--signal", "name", default="", help="In place of its own stop signal.")
def stop(containers: tuple[str, ...], seconds: int | None, name: str) -> None:
    """Send each its stop signal, and SIGKILL when it does not end in time. It does not come back by its restart policy.

    \b
    Example:
      knarr-runtime stop -t 30 database
    """
    each_container(containers, lambda connected, container: stop_container(connected, container, seconds, name))


def stop_container(connected: Session, container: Any, seconds: int | None, name: str) -> None:
    if seconds is None:
        text = container.annotations.get(configs.STOP_TIMEOUT, "")
        seconds = int(text) if text.isdecimal() else DEFAULT_STOP_S
    if seconds < 0:  # as long as it takes
        seconds = 1 << 30
    if name and container.state == cri.CONTAINER_RUNNING:
        request = containers_pb2.SignalRequest(container_id=container.id, signal=name, stops=True)
        connected.containers.Signal(request, timeout=QUICK_S)
        try:
            next(waiting(connected, container.id, timeout_s=seconds))
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.DEADLINE_EXCEEDED:
                raise
        seconds = 0
    stopping = cri.StopContainerRequest(container_id=container.id, timeout=seconds)
    connected.runtime.StopContainer(stopping, timeout=seconds + QUICK_S)


@verb(short_help="Send a signal to containers")
@click.argument("containers", nargs=-1, required=True, shell_complete=RUNNING)
@click.option("-s", "--signal", "name", default="KILL", show_default=True)
def kill(containers: tuple[str, ...], name: str) -> None:
    """Send a signal to each one's first process.

    \b
    Example:
      knarr-runtime kill -s HUP web
    """

    def one(connected: Session, container: Any) -> None:
        request = containers_pb2.SignalRequest(container_id=container.id, signal=name)
        connected.containers.Signal(request, timeout=QUICK_S)

    each_container(containers, one)


@verb(short_help="Hold all processes of containers")
@click.argument("containers", nargs=-1, required=True, shell_complete=RUNNING)
def pause(containers: tuple[str, ...]) -> None:
    """Stop everything in each where it is, with the kernel's freezer: they do not notice.

    \b
    Example:
      knarr-runtime pause web; knarr-runtime commit web web:snapshot; knarr-runtime unpause web
    """
    each_container(containers, lambda connected, container: _pause(connected, container, resume=False))


@verb(short_help="Let paused containers go on")
@click.argument("containers", nargs=-1, required=True, shell_complete=RUNNING)
def unpause(containers: tuple[str, ...]) -> None:
    """Let everything in each go on.

    \b
    Example:
      knarr-runtime unpause web
    """
    each_container(containers, lambda connected, container: _pause(connected, container, resume=True))


def _pause(connected: Session, container: Any, *, resume: bool) -> None:
    request = containers_pb2.PauseRequest(container_id=container.id, resume=resume)
    connected.containers.Pause(request, timeout=QUICK_S)


@verb(short_help="Remove containers")
@click.argument("containers", nargs=-1, required=True, shell_complete=CONTAINER)
@click.option("-f", "--force", is_flag=True, help="Also when it runs: it is killed.")
@click.option("-v", "--volumes", is_flag=True, help="Also the volumes that have no name.")
def rm(containers: tuple[str, ...], force: bool, volumes: bool) -> None:
    """Remove each, with its writable layer and its log.

    \b
    Examples:
      knarr-runtime rm -fv web
      knarr-runtime rm $(knarr-runtime ps -aq --filter status=exited)
    """
    each_container(containers, lambda connected, one: remove(connected, one, force=force, volumes=volumes))


def remove(connected: Session, container: Any, *, force: bool = False, volumes: bool = False) -> None:
    request = containers_pb2.DiscardRequest(container_id=container.id, force=force, volumes=volumes)
    connected.containers.Discard(request, timeout=QUICK_S)


@verb(short_help="Wait until containers have ended")
@click.argument("containers", nargs=-1, required=True, shell_complete=CONTAINER)
def wait(containers: tuple[str, ...]) -> None:
    """Print the exit code of each as it ends.

    \b
    Example:
      knarr-runtime wait job
    """
    with failures():
        connected = session()
        for reference in containers:
            click.echo(next(waiting(connected, connected.find_container(reference).id)).exit_code)
