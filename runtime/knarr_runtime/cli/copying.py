"""``cp``: files between this machine and a container."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import IO, Any, cast

import click
import grpc

from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli.names import CONTAINER
from knarr_runtime.cli.session import Session, fail, failures, session
from knarr_runtime.cli.verbs import verb
from knarr_runtime.standalone import files

CHUNK_BYTES = 1 << 20


@verb(short_help="Copy files out of a container or into it")
@click.argument("source", metavar="[CONTAINER:]SOURCE|-", shell_complete=CONTAINER)
@click.argument("target", metavar="[CONTAINER:]TARGET|-", shell_complete=CONTAINER)
@click.option(
    "-a", "--archive", is_flag=True, help="Keep owners; else files belong to who copies, in a container to root."
)
@click.option("-L", "--follow-link", is_flag=True, help="Copy what SOURCE points to, if it is a link.")
@click.option("-q", "--quiet", is_flag=True, help="No effect: nothing is said anyway.")
def cp(source: str, target: str, archive: bool, follow_link: bool, quiet: bool) -> None:
    """Copy a file or a directory; one of both is in a container, which may run or not. ``-`` is a tar.

    SOURCE/. means what is in the directory. A link in a container never leads out of it.

    \b
    Examples:
      knarr-runtime cp web:/var/log/. ./logs
      knarr-runtime cp config.yaml web:/etc/app/
      knarr-runtime cp web:/data - | tar -t
    """
    with failures():
        of_source, source_path = _split(source)
        of_target, target_path = _split(target)
        if bool(of_source) == bool(of_target):
            fail("one of source and target, and only one, must be in a container: CONTAINER:PATH")
        connected = session()
        if of_source:
            identifier = connected.find_container(of_source).id
            _out(connected, identifier, source_path, target_path, follow_link=follow_link, keep=archive)
        else:
            identifier = connected.find_container(of_target).id
            _in(connected, identifier, source_path, target_path, follow_link=follow_link, keep=archive)


def _split(text: str) -> tuple[str, str]:
    """A path of this machine begins with / or . or has no colon."""
    container, colon, path = text.partition(":")
    if not colon or text.startswith(("/", ".")):
        return "", text
    return container, path or "/"


def _contents(path: str) -> bool:
    return path == "." or path.endswith("/.")


def _out(connected: Session, identifier: str, source: str, target: str, *, follow_link: bool, keep: bool) -> None:
    request = containers_pb2.CopyOutRequest(
        container_id=identifier, path=source, follow_link=follow_link or _contents(source)
    )
    pieces = (answer.data for answer in connected.containers.CopyOut(request))
    if target == "-":
        for piece in pieces:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return
    slash = "/" if target.endswith("/") else ""
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        owner = None if keep else (os.getuid(), os.getgid())
        archive = cast(IO[bytes], files.Pieces(pieces))
        place = os.path.abspath(target) + slash
        files.place(root, place, archive, owner=owner, contents=_contents(source), devices=True)
    finally:
        os.close(root)


def _in(connected: Session, identifier: str, source: str, target: str, *, follow_link: bool, keep: bool) -> None:
    if source == "-":
        first = containers_pb2.CopyInRequest(container_id=identifier, path=target, keep_owner=True, raw=True)
        pieces = iter(lambda: sys.stdin.buffer.read(CHUNK_BYTES), b"")
    else:
        if not os.path.lexists(source):
            fail(f"{source}: no such file or directory")
        contents = _contents(source)
        first = containers_pb2.CopyInRequest(container_id=identifier, path=target, keep_owner=keep, contents=contents)
        pieces = _packed(os.path.abspath(source), follow_link=follow_link or contents)
    try:
        connected.containers.CopyIn(_messages(first, pieces))
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            fail(str(error.details()))
        raise


def _packed(source: str, *, follow_link: bool) -> Iterator[bytes]:
    root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield from files.packed(root, source, follow_link=follow_link)
    finally:
        os.close(root)


def _messages(first: Any, pieces: Iterator[bytes]) -> Iterator[Any]:
    yield first
    for piece in pieces:
        yield containers_pb2.CopyInRequest(data=piece)
