"""``backup`` and ``restore``."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import grpc
import grpc.aio

from knarr_api import grpc_status
from knarr_api.errors import AlreadyExists, Invalid, KnarrError, ResourceExhausted, Unavailable
from knarr_cli import output
from knarr_cli.session import session
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import cluster_pb2, cluster_pb2_grpc

OFFLINE = (sys.executable, "-m", "knarr_controlplane.backup")
READ_BYTES = 1024 * 1024
SHOWN_KINDS = 8


class Meter:
    """One line on a terminal that says how far it is; nothing elsewhere."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._terminal = sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write(f"\r\x1b[K • {self._verb}: {text}")
            sys.stderr.flush()

    def end(self) -> None:
        if self._terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


@click.command(
    cls=Verb,
    name="backup",
    epilog="""\b
Examples:
  knarr backup -o monday.knarr                   # of the running cluster
  knarr backup -o monday.knarr --data-dir D      # of a control plane that is stopped
  knarr backup --verify monday.knarr""",
)
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="File to write; it must not exist.")
@click.option("--verify", "verified", type=click.Path(path_type=Path), metavar="FILE", help="Only check a backup.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Of a control plane that does not run.")
@click.option("--store", default="", help="With --data-dir: etcd://HOST:PORT,… for a store elsewhere.")
@click.pass_context
def backup_command(
    ctx: click.Context, target: Path | None, verified: Path | None, data_dir: Path | None, store: str
) -> None:
    """Save everything the cluster's store holds, at one revision, and its keys.

    The file is all it takes to restore the cluster, and to impersonate anyone in it: keep it safe. Containers, images
    and volumes of the nodes are not in it.
    """
    if (target is None) == (verified is None):
        raise click.UsageError("give either -o FILE or --verify FILE", ctx)
    if verified is not None:
        _say(verified, _asked("verify", str(verified)), "is complete")
        return
    assert target is not None
    meter = Meter("backup")
    with _new_file(target) as file:
        if data_dir is None:
            session(ctx).run(lambda client: _write(file, _online(client), meter))
        else:
            asyncio.run(_write(file, _offline(data_dir, store), meter))
        manifest = _asked("verify", str(file.path))
    _say(target, manifest, "written")


@click.command(
    cls=Verb,
    name="restore",
    epilog="""\b
Examples:
  knarr restore monday.knarr --data-dir D                # then: knarr up --data-dir D
  knarr restore monday.knarr --data-dir D --store etcd   # then: knarr up --data-dir D --store etcd
  knarr restore monday.knarr --data-dir D --store etcd://10.0.0.1:2379,10.0.0.2:2379""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--data-dir", type=click.Path(path_type=Path), required=True, help="Of the control plane to be.")
@click.option("--store", default="sqlite", show_default=True, help="sqlite, etcd, or etcd://HOST:PORT,… .")
def restore_command(file: Path, data_dir: Path, store: str) -> None:
    """Fill an empty store from a backup. No control plane may run meanwhile.

    Agents that belong to the cluster reconnect, and pods that the backup knows go on running; what was made since the
    backup is not known any more.
    """
    meter = Meter("restore")
    manifest = _asked("restore", str(file), "--data-dir", str(data_dir), "--store", store, meter=meter)
    meter.end()
    _say(file, manifest, f"restored into {data_dir}")
    option = "" if store == "sqlite" else f" --store {store}"
    sys.stderr.write(f"Start it: knarr up --data-dir {data_dir}{option}\n")


commands: tuple[click.Command, ...] = (backup_command, restore_command)


@dataclass(slots=True)
class _NewFile:
    """Not under its own name yet."""

    path: Path
    descriptor: int
    size_bytes: int = 0

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]
        self.size_bytes += len(data)


@contextlib.contextmanager
def _new_file(target: Path) -> Iterator[_NewFile]:
    """Mode 0600; gets its name when the block ends well, and nothing is left of it otherwise.

    Raises AlreadyExists, ResourceExhausted for a full disk, Invalid for a place that can't be written.
    """
    if target.exists():
        raise AlreadyExists(f"{target} exists: name another file")
    building = target.with_name(f".{target.name}.partial")
    try:
        building.unlink(missing_ok=True)
        descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            file = _NewFile(building, descriptor)
            yield file
            os.fsync(descriptor)
            os.link(building, target)
        finally:
            os.close(descriptor)
            building.unlink()
    except FileExistsError:
        raise AlreadyExists(f"{target} exists: name another file") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ResourceExhausted(f"the disk of {target} is full: nothing is left of the backup") from error
        raise Invalid(f"{target} can't be written: {error.strerror}") from error


async def _write(file: _NewFile, source: AsyncIterator[tuple[bytes, int]], meter: Meter) -> None:
    async for data, objects in source:
        await asyncio.to_thread(file.write, data)
        shown = f"{objects:,} objects, " if objects else ""
        meter.show(f"{shown}{_mib(file.size_bytes)}")
    meter.end()


async def _online(client: GrpcClient) -> AsyncIterator[tuple[bytes, int]]:
    stub: Any = cluster_pb2_grpc.ClusterStub(client.channel)
    try:
        async for chunk in stub.Backup(cluster_pb2.BackupRequest()):
            yield chunk.data, chunk.objects
    except grpc.aio.AioRpcError as error:
        failure = grpc_status.from_rpc(error)
        if isinstance(failure, Unavailable):
            text = f"{failure.message}; to back up a cluster that is stopped, name its --data-dir"
            raise Unavailable(text) from error
        raise failure from error


async def _offline(data_dir: Path, store: str) -> AsyncIterator[tuple[bytes, int]]:
    words = ("save", "--data-dir", str(data_dir), *(("--store", store) if store else ()))
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*OFFLINE, *words, stdout=pipe, stderr=pipe)
    assert process.stdout is not None and process.stderr is not None
    complaints = asyncio.create_task(process.stderr.read())
    try:
        while data := await process.stdout.read(READ_BYTES):
            yield data, 0
        if await process.wait():
            raise _failure((await complaints).decode(errors="replace"))
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        await asyncio.wait({complaints})


def _asked(*words: str, meter: Meter | None = None) -> dict[str, Any]:
    """The manifest that ``knarr_controlplane.backup`` answers with. Raises what it says."""
    with subprocess.Popen((*OFFLINE, *words), stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        last: dict[str, Any] = {}
        try:
            for line in process.stdout:
                last = json.loads(line)
                if meter is not None and len(last) == 1:
                    meter.show(f"{last['objects']:,} objects")
        except BaseException:
            process.kill()
            raise
        complaint = process.stderr.read().decode(errors="replace")
    if process.returncode:
        if meter is not None:
            meter.end()
        raise _failure(complaint)
    return last


def _failure(complaint: str) -> KnarrError:
    for line in complaint.splitlines():
        if line.startswith("knarr-backup: "):
            return Invalid(line.removeprefix("knarr-backup: "))
    return Invalid(complaint.strip().rpartition("\n")[2] or "the backup's process was killed")


def _say(path: Path, manifest: dict[str, Any], what: str) -> None:
    created = datetime.datetime.fromisoformat(manifest["created"]).astimezone(datetime.UTC)
    output.write(
        f"{path} {what}: {manifest['objects']:,} objects of cluster {manifest['cluster_id']} at revision "
        f"{manifest['revision']}, {created:%Y-%m-%d %H:%M:%S} UTC, Knarr {manifest['knarr_version']}"
    )
    kinds = sorted(manifest["kinds"].items(), key=lambda item: (-item[1], item[0]))
    shown = [f"{count:,} {kind.removeprefix('core/')}" for kind, count in kinds[:SHOWN_KINDS]]
    rest = sum(count for _, count in kinds[SHOWN_KINDS:])
    if shown:
        output.write("  " + ", ".join(shown) + (f", {rest:,} others" if rest else ""))


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / (1 << 20):.1f} MiB"
