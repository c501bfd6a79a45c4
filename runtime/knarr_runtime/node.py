"""The node's own processes: starts the zygote, connects to it and to the log reader, and again whenever they end."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from knarr_runtime import channel, layout, remains
from knarr_runtime.channel import Message
from knarr_runtime.errors import KernelRefused, RuntimeFailure, Unavailable
from knarr_runtime.kernel import process
from knarr_runtime.kernel.cgroup import Cgroups, discover, open_bases
from knarr_runtime.peer import Peer

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
            record = {"boot_id": boot, "bases": discover(self._cgroup_root)}
            self._open_cgroups(record["bases"])
            layout.write(self.state_dir, layout.NODE_RECORD, record)
        elif record is None or self.rebooted:
            record = {"boot_id": boot, "bases": discover(self._cgroup_root)}
            for name in (layout.ZYGOTE_RECORD, layout.LOGS_RECORD):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{self.state_dir}/{name}")
            self._open_cgroups(record["bases"])
            self.cgroups.prepare()
            layout.write(self.state_dir, layout.NODE_RECORD, record)
        else:
            self._open_cgroups(record["bases"])
        self._bases = dict(record["bases"])

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
        self.zygote = Peer(sock, "zygote", on_event=self._on_event, on_close=self._lost.set)

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
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "zygote", "start.py")
        log = os.open(f"{self.state_dir}/{_ZYGOTE_LOG}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            spawning = asyncio.create_task(
                asyncio.to_thread(
                    subprocess.Popen,
                    [self._python, "-I", "-S", "-E", script, self.state_dir, str(theirs)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd="/",
                    env={"PATH": os.defpath, "LANG": "C.UTF-8"},
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
            if not await asyncio.to_thread(os.read, ready, 1):
                with open(f"{self.state_dir}/{_ZYGOTE_LOG}", encoding="utf-8", errors="replace") as file:
                    said = file.read()[-2000:].strip()
                raise Unavailable(f"the zygote ended while starting: {said.splitlines()[-1] if said else 'no message'}")
        except asyncio.CancelledError:
            await self._kill_child()
            raise
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
