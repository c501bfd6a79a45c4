"""Three members of etcd as processes: members are lost and come back, and no write that was acknowledged is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aetcd import rpc

from knarr_api.errors import DeadlineExceeded, KnarrError, ResourceExhausted, Unavailable
from knarr_controlplane.store import etcd_room
from knarr_controlplane.store.etcd import EtcdStore
from knarr_controlplane.store.etcd_member import prepare
from knarr_controlplane.store.etcd_process import EtcdTls
from knarr_controlplane.store.protocol import Delete, Put, StoreEvent
from tests.ports import free_ports
from tests.slowness import patient

pytestmark = pytest.mark.etcd
PODS = "/registry/core/pods/"
SERVES_AGAIN_S = 20.0


@dataclass
class Members:
    """A local etcd of three."""

    directory: Path
    extra: tuple[str, ...] = ()
    ports: list[int] = field(default_factory=list)
    running: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, *ordinals: int) -> None:
        cluster = ",".join(f"e{ordinal}={self.ports[3 + ordinal]}" for ordinal in range(3))
        for ordinal in ordinals:
            words = ["--pki", str(self.directory / "pki"), "--data-dir", str(self.directory / f"e{ordinal}")]
            words += ["--name", f"e{ordinal}", "--cluster", cluster]
            words += ["--client-port", str(self.ports[ordinal]), "--peer-port", str(self.ports[3 + ordinal])]
            with open(self.directory / f"e{ordinal}.log", "ab") as log:
                self.running[ordinal] = subprocess.Popen(
                    [sys.executable, "-m", "knarr_controlplane.store.etcd_member", *words, "--", *self.extra],
                    stdout=log,
                    stderr=log,
                )

    def kill(self, *ordinals: int) -> None:
        for ordinal in ordinals:
            process = self.running.pop(ordinal)
            process.kill()
            process.wait()

    @property
    def tls(self) -> EtcdTls:
        tls = EtcdTls.of_directory(self.directory / "pki/etcd")
        assert tls is not None
        return tls

    async def open(self, *ordinals: int) -> EtcdStore:
        endpoints = [f"127.0.0.1:{self.ports[ordinal]}" for ordinal in ordinals or range(3)]
        deadline = time.monotonic() + patient(SERVES_AGAIN_S)
        while True:
            try:
                return await EtcdStore.open(endpoints, tls=self.tls)
            except KnarrError:
                if time.monotonic() > deadline:
                    raise

    async def leader(self) -> int:
        for ordinal in self.running:
            store = await self.open(ordinal)
            status = await store.call(store.maintenance.Status, rpc.StatusRequest())
            await store.close()
            if status.leader == status.header.member_id:
                return ordinal
        raise AssertionError("no member leads")


@pytest.fixture
def members(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Members]:
    clients = free_ports(3)
    ports = [*clients, *(port + 1 for port in clients)]
    prepare(tmp_path / "pki")
    made = Members(tmp_path, getattr(request, "param", ()), ports)
    made.start(0, 1, 2)
    yield made
    for process in made.running.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
    made.kill(*list(made.running))


@dataclass
class Writer:
    """Writes numbered keys one after the other; what was acknowledged, and how many were not."""

    store: EtcdStore
    acknowledged: list[str] = field(default_factory=list)
    failures: list[KnarrError] = field(default_factory=list)
    progressed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        number = 0
        while True:
            key = f"{PODS}d/{number:06}"
            number += 1
            try:
                await self.store.commit([Put(key, b"1", 0)])
            except (Unavailable, DeadlineExceeded) as error:
                self.failures.append(error)
                await asyncio.sleep(0.05)
                continue
            self.acknowledged.append(key)
            self.progressed.set()

    async def until_it_writes(self) -> None:
        for _ in range(20):
            self.progressed.clear()
            async with asyncio.timeout(patient(SERVES_AGAIN_S)):
                await self.progressed.wait()


@contextlib.asynccontextmanager
async def writing(members: Members) -> AsyncIterator[Writer]:
    """While it lasts; then everything acknowledged must be there, and a watch must have seen it once and in order.

    What was not acknowledged may be there as well, and late: a member that stood still passes on what it was given.
    """
    store, watched = await members.open(), await members.open()
    writer, seen = Writer(store), list[StoreEvent]()
    start = await store.revision()

    async def watch() -> None:
        after = start
        while True:
            try:
                async for batch in watched.watch(PODS, after=after):
                    after = batch[-1].revision
                    seen.extend(event for event in batch if isinstance(event, StoreEvent))
            except Unavailable:
                await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(writer.run()), asyncio.create_task(watch())]
    try:
        await writer.until_it_writes()
        yield writer
        await writer.until_it_writes()
        tasks[0].cancel()
        await asyncio.wait(tasks[:1])
        page = await store.list(PODS)
        written = [entry.key for entry in sorted(page.entries, key=lambda entry: entry.revision)]
        assert [key for key in written if key in set(writer.acknowledged)] == writer.acknowledged
        async with asyncio.timeout(patient(SERVES_AGAIN_S)):
            while not {event.key for event in seen} >= set(written):  # noqa: ASYNC110 the watch has no event for it
                await asyncio.sleep(0.05)
        assert [event.key for event in seen][: len(written)] == written
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await store.close()
        await watched.close()


async def test_the_leader_is_killed(members: Members) -> None:
    async with writing(members) as writer:
        leader = await members.leader()
        members.kill(leader)
        began = time.monotonic()
        await writer.until_it_writes()
        assert time.monotonic() - began < patient(SERVES_AGAIN_S)
        members.start(leader)


async def test_one_member_is_lost_for_good(members: Members) -> None:
    async with writing(members) as writer:
        leader = await members.leader()
        lost = next(ordinal for ordinal in range(3) if ordinal != leader)
        members.kill(lost)
        shutil.rmtree(members.directory / f"e{lost}")
        await writer.until_it_writes()


async def test_a_watch_of_a_member_that_is_cut_off_breaks_off(members: Members) -> None:
    """It would see nothing for as long as that lasts, whatever the others write."""
    store = await members.open(0)
    try:
        watch = store.watch(PODS, after=await store.revision())
        for ordinal in (1, 2):
            os.kill(members.running[ordinal].pid, signal.SIGSTOP)
        async with asyncio.timeout(patient(SERVES_AGAIN_S)):
            with pytest.raises(Unavailable, match="no leader"):
                await anext(watch)
    finally:
        await store.close()


async def test_the_leader_is_frozen(members: Members) -> None:
    async with writing(members) as writer:
        leader = await members.leader()
        os.kill(members.running[leader].pid, signal.SIGSTOP)
        await writer.until_it_writes()
        os.kill(members.running[leader].pid, signal.SIGCONT)


async def test_all_are_away_for_a_while(members: Members) -> None:
    async with writing(members) as writer:
        members.kill(0, 1, 2)
        before = len(writer.failures)
        async with asyncio.timeout(patient(SERVES_AGAIN_S)):
            while len(writer.failures) < before + 5:  # noqa: ASYNC110 as above
                await asyncio.sleep(0.05)
        assert all("may have happened" in str(error) or "unreachable" in str(error) for error in writer.failures)
        members.start(0, 1, 2)
        await writer.until_it_writes()


@pytest.mark.parametrize("members", [("--quota-backend-bytes", str(16 * 1024 * 1024))], indirect=True)
async def test_a_full_one_refuses_writes_and_goes_on_reading_and_deleting(members: Members) -> None:
    store = await members.open()
    try:
        await store.commit([Put(f"{PODS}d/first", b"1", 0)])
        with pytest.raises(ResourceExhausted, match=r"etcd is full .* nothing was written"):
            for number in range(64):
                await store.commit([Put(f"{PODS}d/big-{number}", bytes(1024 * 1024), 0)])
        entry = await store.get(f"{PODS}d/first")
        assert entry is not None and entry.value == b"1"
        assert (await store.list(PODS)).entries
        with pytest.raises(ResourceExhausted):
            await store.commit([Put(f"{PODS}d/second", b"1", 0)])
        assert await store.get(f"{PODS}d/second") is None
        await store.commit([Delete(f"{PODS}d/first")])
        assert await store.get(f"{PODS}d/first") is None
    finally:
        await store.close()


@pytest.mark.parametrize("members", [("--quota-backend-bytes", str(16 * 1024 * 1024))], indirect=True)
async def test_a_full_one_takes_writes_again_once_there_is_room(members: Members) -> None:
    """Nobody has to compact, to defragment and to disarm it by hand."""
    store = await members.open()
    upkeep = asyncio.create_task(etcd_room.keep(store, look_s=0.2))
    try:
        with pytest.raises(ResourceExhausted):
            for number in range(64):
                await store.commit([Put(f"{PODS}d/big-{number}", bytes(1024 * 1024), 0)])
        for entry in (await store.list(PODS)).entries:
            await store.commit([Delete(entry.key)])
        for number in range(8):
            await _until_taken(store, Put(f"{PODS}d/big-{number}", bytes(1024 * 1024)))
    finally:
        upkeep.cancel()
        await store.close()


async def _until_taken(store: EtcdStore, write: Put) -> None:
    async with asyncio.timeout(patient(SERVES_AGAIN_S)):
        while True:
            try:
                await store.commit([write])
                return
            except ResourceExhausted as error:
                assert error.retry_after_s
            except (Unavailable, DeadlineExceeded):  # a member is busy with making room
                pass
            await asyncio.sleep(0.1)
