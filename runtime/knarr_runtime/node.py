"""The node's own processes: starts the zygote, connects to it and to the log reader, and again whenever they end.

A zygote of another version is replaced in place, and the log reader with it: it executes this daemon's code and stays
the same process, so its children, the shims, go on. Shims keep the code they were made with until their pods end.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog

from knarr_runtime import channel, layout, remains
from knarr_runtime.channel import Message
from knarr_runtime.errors import KernelRefused, RuntimeFailure, Unavailable
from knarr_runtime.kernel import process
from knarr_runtime.kernel.cgroup import Cgroups, discover, open_bases
from knarr_runtime.peer import Peer
from knarr_runtime.zygote import version

_log = structlog.get_logger("knarr.node")
_PACKAGE = Path(__file__).resolve().parent
_START_DEADLINE_S = 15.0
_CONNECT_EVERY_S = 0.01
_ZYGOTE_LOG = "zygote.log"
_RESTART_PAUSE_S = 0.1


class Node:
    """Owns the state directory while it is open. ``on_event`` gets what the zygote tells."""

    def __init__(self, state_dir: Path, cgroup_root: str, python: str, on_event: Callable[[Message], None]) -> None:
        self.state_dir = str(state_dir)
        self._cgroup_root = cgroup_root
        self._python = python
        self._on_event = on_event
        self._lock = -1
        self._bases: dict[str, str] = {}
        self._version = ""
        self._lost = asyncio.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self.zygote: Peer | None = None
        self.logs: Peer | None = None
        self.rebooted = False
        self.cgroups: Cgroups
        self._held: list[int] = []

    async def open(self) -> None:
        """Raises Unavailable if another runtime uses the directory, KernelRefused without cgroups."""
        os.makedirs(f"{self.state_dir}/{layout.SANDBOXES}", 0o700, exist_ok=True)
        os.chmod(self.state_dir, 0o700)
        self._lock = os.open(f"{self.state_dir}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock)
            self._lock = -1
            raise Unavailable(f"{self.state_dir} is in use by another runtime") from error
        try:
            self._version = await asyncio.to_thread(version.of, _PACKAGE)
            self._find_cgroups()
            await self._ensure_zygote()
            await self._connect_logs(time.monotonic() + _START_DEADLINE_S)
        except (OSError, RuntimeFailure) as error:
            self.close()
            if isinstance(error, OSError):
                raise KernelRefused(str(error)) from error
            raise

    def _find_cgroups(self) -> None:
        boot = process.boot_id()
        record, damaged = remains.read(self.state_dir, layout.NODE_RECORD, _node_record)
        self.rebooted = record is not None and record["boot_id"] != boot
        if damaged:  # of this boot, as far as can be told: the identities of processes decide who still lives
            record = {"bases": discover(self._cgroup_root)}
            self._open_cgroups(record["bases"])
        elif record is None or self.rebooted:
            record = {"bases": discover(self._cgroup_root)}
            for name in (layout.ZYGOTE_RECORD, layout.LOGS_RECORD):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self.state_dir}/{name}")
            self._open_cgroups(record["bases"])
            self.cgroups.prepare()
        else:
            self._open_cgroups(record["bases"])
        self._bases = dict(record["bases"])
        record = {"boot_id": boot, "bases": self._bases, "version": self._version}
        layout.write(self.state_dir, layout.NODE_RECORD, record)

    def _open_cgroups(self, bases: Mapping[str, str]) -> None:
        self.cgroups = open_bases(bases)
        self._held = self.cgroups.descriptors()

    def close(self) -> None:
        for peer in (self.zygote, self.logs):
            if peer is not None:
                peer.close()
        for descriptor in self._held:
            os.close(descriptor)
        self._held = []
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    async def supervise(self) -> None:
        """Replaces zygote and connections when they are lost; runs until cancelled."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            try:
                if self.zygote is None or not self.zygote.open:
                    await self._ensure_zygote()
                if self.logs is None or not self.logs.open:
                    await self._connect_logs(time.monotonic() + _START_DEADLINE_S)
            except (OSError, RuntimeFailure):
                await asyncio.sleep(_RESTART_PAUSE_S)
                self._lost.set()

    # --- the zygote ---

    async def _ensure_zygote(self) -> None:
        if self._child is not None:
            await asyncio.to_thread(self._reap)
        try:
            sock, _ = channel.connect(self.state_dir, layout.ZYGOTE_SOCKET)
        except (FileNotFoundError, ConnectionRefusedError):
            await self._spawn_zygote()
            sock, _ = channel.connect(self.state_dir, layout.ZYGOTE_SOCKET)
        self.zygote = self._peer(sock)
        await self._ensure_version(self.zygote)

    def _peer(self, sock: socket.socket) -> Peer:
        return Peer(sock, "zygote", on_event=self._on_event, on_close=self._lost.set)

    async def _ensure_version(self, zygote: Peer) -> None:
        """Replaces the zygote if its code is not ours. One that cannot be replaced serves on, with a warning."""
        try:
            status = await zygote.request("status", timeout_s=_START_DEADLINE_S)
        except Unavailable:
            if zygote.open:
                raise
            await self._ensure_zygote()  # this one was just dying
            return
        except RuntimeFailure:  # it is older than versions are: it ends, and its shims go on without it
            await zygote.request("quit", timeout_s=_START_DEADLINE_S)
            await self._spawn_zygote()
        else:
            if status["version"] == self._version:
                return
            _log.info("the zygote becomes one of another version", version=status["version"], wanted=self._version)
            try:
                await self._replace_zygote(zygote)
            except Unavailable:
                if zygote.open:
                    raise
                await self._ensure_zygote()  # the new code did not get far in the old process
                return
            except RuntimeFailure as error:
                _log.warning("the zygote keeps its code", version=status["version"], error=str(error))
                return
        zygote.close()
        sock, _ = channel.connect(self.state_dir, layout.ZYGOTE_SOCKET)
        self.zygote = self._peer(sock)

    async def _replace_zygote(self, zygote: Peer) -> None:
        """Raises RuntimeFailure if it stays as it was, Unavailable if it died or does not answer.

        There is no reply: the new code does not have the connection.
        """
        ready, theirs = os.pipe2(os.O_CLOEXEC)
        own_mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        try:
            await zygote.request(
                "replace", descriptors=(own_mounts, theirs), command=self._command(), timeout_s=_START_DEADLINE_S
            )
        except RuntimeFailure:
            if zygote.open:
                os.close(ready)
                raise
        finally:
            os.close(own_mounts)
            os.close(theirs)
        await self._await_ready(ready)

    def _command(self) -> list[str]:
        """Of the zygote, but for its last argument: the descriptor on which it says that it is ready."""
        return [self._python, "-I", "-S", "-E", str(_PACKAGE / "zygote/start.py"), self.state_dir]

    def _reap(self) -> None:
        """Of a zygote that is our child and has closed its socket: it is ending."""
        assert self._child is not None
        try:
            self._child.wait(_START_DEADLINE_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()
        self._child = None

    async def _spawn_zygote(self) -> None:
        ready, theirs = os.pipe2(os.O_CLOEXEC)
        log = os.open(f"{self.state_dir}/{_ZYGOTE_LOG}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            spawning = asyncio.create_task(
                asyncio.to_thread(
                    subprocess.Popen,
                    [*self._command(), str(theirs)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={"PATH": os.defpath, "LANG": "C.UTF-8", "LD_BIND_NOW": "1"},  # bound once, not in every fork
                    pass_fds=(theirs,),
                    start_new_session=True,
                )
            )
            try:
                self._child = await asyncio.shield(spawning)
            except asyncio.CancelledError:  # else it would come up when nobody knows of it any more
                self._child = await spawning
                await self._kill_child()
                raise
        finally:
            os.close(log)
            os.close(theirs)
        try:
            await self._await_ready(ready)
        except asyncio.CancelledError:
            await self._kill_child()
            raise

    async def _await_ready(self, ready: int) -> None:
        """Owns the descriptor. Raises Unavailable with the zygote's last words."""
        try:
            if not await asyncio.to_thread(os.read, ready, 1):
                with open(f"{self.state_dir}/{_ZYGOTE_LOG}", encoding="utf-8", errors="replace") as file:
                    said = file.read()[-2000:].strip()
                raise Unavailable(f"the zygote ended while starting: {said.splitlines()[-1] if said else 'no message'}")
        finally:
            os.close(ready)

    async def _kill_child(self) -> None:
        """A zygote that has served nobody yet."""
        assert self._child is not None
        self._child.kill()
        await asyncio.to_thread(self._reap)

    # --- the log reader ---

    async def _connect_logs(self, deadline_s: float) -> None:
        """Its zygote starts it, so it may take a moment to be there."""
        while True:
            try:
                sock, _ = channel.connect(self.state_dir, layout.LOGS_SOCKET)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                if time.monotonic() > deadline_s:
                    raise Unavailable("the log reader does not start") from error
                await asyncio.sleep(_CONNECT_EVERY_S)
                continue
            self.logs = Peer(sock, "log reader", on_close=self._lost.set)
            return

    # --- the end of everything ---

    async def destroy(self, timeout_s: float) -> None:
        """Ends zygote and log reader, removes the cgroup root and the state directory's content."""
        deadline_s = time.monotonic() + timeout_s
        if self.zygote is None or not self.zygote.open:
            await self._ensure_zygote()  # one that was just killed has a log reader to end
        identities = [layout.identity(self.state_dir, name) for name in (layout.ZYGOTE_RECORD, layout.LOGS_RECORD)]
        if self.zygote is not None:
            with contextlib.suppress(Unavailable):
                await self.zygote.request("quit", timeout_s=timeout_s)
        if self._child is not None:
            await asyncio.to_thread(self._reap)
        for identity in identities:
            while identity and process.is_same(*identity):
                if time.monotonic() > deadline_s:
                    raise Unavailable(f"process {identity[0]} does not end")
                await asyncio.sleep(_CONNECT_EVERY_S)
        while not await asyncio.to_thread(self.cgroups.remove, ""):
            if time.monotonic() > deadline_s:
                raise Unavailable("processes remain in the runtime's cgroup")
            await asyncio.sleep(_CONNECT_EVERY_S)
        self.close()
        await asyncio.to_thread(shutil.rmtree, self.state_dir, ignore_errors=True)


def _node_record(record: layout.Record) -> layout.Record:
    bases = {str(name): str(base) for name, base in record["bases"].items()}
    return {"boot_id": str(record["boot_id"]), "bases": bases}
