"""``run``, ``create``, ``start`` and ``restart``: containers that begin, in the foreground or not."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import Any

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import making, run_options
from knarr_runtime.cli.inspecting import information, status_of
from knarr_runtime.cli.names import CONTAINER, IMAGE
from knarr_runtime.cli.pulling import ensure_image
from knarr_runtime.cli.session import QUICK_S, Session, each_container, fail, failures, session, waiting
from knarr_runtime.cli.stopping import stop_container
from knarr_runtime.cli.streams import Streams
from knarr_runtime.cli.verbs import verb
from knarr_runtime.errors import Invalid

REFUSED = 125


@verb(context_settings={"allow_interspersed_args": False}, short_help="Create and run a container")
@click.argument("image", shell_complete=IMAGE)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("-d", "--detach", is_flag=True, help="Run in the background and print the container's id.")
@click.option("--sig-proxy/--no-sig-proxy", default=True, help="Pass signals on to the container.")
@run_options.run_options
def run(image: str, command: tuple[str, ...], **given: Any) -> None:
    """Create a container from IMAGE and run COMMAND, or what the image says, in it.

    \b
    Examples:
      knarr-runtime run -it --rm alpine sh
      knarr-runtime run -d --name web -p 8080:80 -m 64m --cpus .5 nginx
      knarr-runtime run -d --restart on-failure:3 -v data:/var/lib/app app
      knarr-runtime run --rm -v "$PWD:/src:ro" -w /src python:3 python check.py

    The exit status is the container's; 125 when it could not be run, 126 when the command could not be executed and
    127 when it was not found.
    """
    with failures(REFUSED):
        connected = session()
        if given["tty"] and given["interactive"] and not given["detach"] and not sys.stdin.isatty():
            raise Invalid("the input device is not a TTY: leave -t out, or run it on a terminal")
        made = _Begun(connected, _made(connected, image, command, given), discard=True)
        if given["detach"]:
            made.start()
            click.echo(made.identifier)
            return
        raise SystemExit(made.in_foreground(stdin=given["interactive"], proxy=given["sig_proxy"]))


@verb(context_settings={"allow_interspersed_args": False}, short_help="Create a container without starting it")
@click.argument("image", shell_complete=IMAGE)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@run_options.run_options
def create(image: str, command: tuple[str, ...], **given: Any) -> None:
    """Make a container from IMAGE for COMMAND and print its id; ``start`` runs it.

    \b
    Examples:
      knarr-runtime create --name job -v data:/data busybox sh -c 'date >> /data/runs'
      knarr-runtime cp config.yaml job:/etc/
      knarr-runtime start -a job
    """
    with failures(REFUSED):
        click.echo(_made(session(), image, command, given))


def _made(connected: Session, image: str, command: tuple[str, ...], given: dict[str, Any]) -> str:
    options = run_options.read(image, command, given)
    cidfile: Path | None = given["cidfile"]
    making.check(connected, options, cidfile)
    ensure_image(connected, image, given["pull"], given["platform"], quiet=given["quiet"])
    return making.make(connected, options, cidfile)


@verb(short_help="Start containers that were created or have ended")
@click.argument("containers", nargs=-1, required=True, shell_complete=CONTAINER)
@click.option("-a", "--attach", is_flag=True, help="Show its output, and end with its exit status.")
@click.option("-i", "--interactive", is_flag=True, help="Pass this standard input on to it.")
def start(containers: tuple[str, ...], attach: bool, interactive: bool) -> None:
    """Run each, for the first time or once more: with the files it has written, its volumes and its address.

    \b
    Examples:
      knarr-runtime start web
      knarr-runtime start -ai shell
    """
    if not attach and not interactive:
        each_container(containers, lambda connected, container: _Begun(connected, container.id).start())
    with failures():
        if len(containers) > 1:
            fail("only one container can be attached to at a time")
        connected = session()
        found = connected.find_container(containers[0])
        if found.state == cri.CONTAINER_RUNNING:
            fail(f"container {containers[0]} runs: use attach")
        raise SystemExit(_Begun(connected, found.id).in_foreground(stdin=interactive, proxy=True))


@verb(short_help="Stop containers and start them again")
@click.argument("containers", nargs=-1, required=True, shell_complete=CONTAINER)
@click.option("-t", "--time", "--timeout", "seconds", type=int, help="Seconds until SIGKILL; else its --stop-timeout.")
@click.option("-s", "--signal", "name", default="", help="To stop it with, in place of its own.")
def restart(containers: tuple[str, ...], seconds: int | None, name: str) -> None:
    """Stop each as ``stop`` does, and start it.

    \b
    Example:
      knarr-runtime restart -t 2 web
    """

    def one(connected: Session, container: Any) -> None:
        if container.state == cri.CONTAINER_RUNNING:
            stop_container(connected, container, seconds, name)
        _Begun(connected, container.id).start()

    each_container(containers, one)


class _Begun:
    """A container that is to run. discard: remove it when its command can't be executed."""

    def __init__(self, connected: Session, identifier: str, *, discard: bool = False) -> None:
        self._connected = connected
        self.identifier = identifier
        self._discard = discard

    def start(self) -> None:
        """Exits with 126 or 127 where the command can't be executed."""
        try:
            self._connected.containers.Start(containers_pb2.StartRequest(container_id=self.identifier), timeout=QUICK_S)
        except grpc.RpcError as error:
            if error.code() is grpc.StatusCode.FAILED_PRECONDITION and not self._discard:
                raise
            code = self._status().exit_code
            if self._discard:
                self._remove()
            fail(str(error.details()), code if code in (126, 127) else REFUSED)

    def _status(self) -> Any:
        return status_of(self._connected, self.identifier)

    def _remove(self) -> None:
        request = containers_pb2.DiscardRequest(container_id=self.identifier, force=True, volumes=True)
        self._connected.containers.Discard(request, timeout=QUICK_S)

    def in_foreground(self, *, stdin: bool, proxy: bool) -> int:
        """The exit status: the container's, or 0 when the user has detached."""
        try:
            return self._attached(stdin=stdin, proxy=proxy)
        except grpc.RpcError:
            if self._discard and self._status().state == cri.CONTAINER_CREATED:
                self._remove()
            raise

    def _attached(self, *, stdin: bool, proxy: bool) -> int:
        self._connected.containers.Start(
            containers_pb2.StartRequest(container_id=self.identifier, prepare=True), timeout=QUICK_S
        )
        known = information(self._connected, self.identifier)
        tty, stdin = bool(known.get("tty")), bool(known.get("stdin")) and stdin
        removed = known.get("annotations", {}).get("knarr.io/auto-remove") == "true"
        request = cri.AttachRequest(container_id=self.identifier, stdin=stdin, tty=tty, stdout=True, stderr=not tty)
        url = self._connected.runtime.Attach(request, timeout=QUICK_S).url
        streams = Streams(url, tty=tty, stdin=stdin, on_signal=self._signal if proxy and not tty else None)
        streams.open()
        ended = waiting(self._connected, self.identifier, removed=removed)
        self.start()
        if streams.run().detached:
            return 0
        return self._exit_code(ended)

    def _exit_code(self, ended: Any) -> int:
        """Ctrl-C while waiting is passed on."""
        previous = signal.signal(signal.SIGINT, lambda number, _: self._signal(number))
        try:
            return int(next(ended).exit_code)
        finally:
            signal.signal(signal.SIGINT, previous)

    def _signal(self, number: int) -> None:
        request = containers_pb2.SignalRequest(container_id=self.identifier, signal=str(number))
        with contextlib.suppress(grpc.RpcError):  # it has just ended
            self._connected.containers.Signal(request, timeout=QUICK_S)
