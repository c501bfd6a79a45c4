"""A key in etcd that a thread of its own writes again and again, for as long as it is as it was written last.

An event loop with much to do may take seconds over what a Lease has to be renewed within; a thread waits for the
interpreter's lock at most, a few milliseconds each time. It does so only while the loop looks after it: a process whose
loop stands still does not hold on to what it can't use.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import grpc
from aetcd import rpc

from knarr_controlplane.store.keeping import Keeping, Kept
from knarr_controlplane.store.revision import Numbering

UNWATCHED_S = 20.0
AGAIN_S = 0.1
"""Pause after a write that failed."""
Compare = rpc.Compare


class EtcdKeeper:
    """A ``Keeper``. connect: opens a channel of the thread's own."""

    def __init__(self, connect: Callable[[], grpc.Channel], numbers: Numbering, *, unwatched_s: float) -> None:
        """unwatched_s: so long it goes on when nobody looks."""
        self._unwatched_s = unwatched_s
        self._connect = connect
        self._numbers = numbers
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._kept = Kept(0, 0.0)
        self._looked_s = 0.0

    def start(self, keeping: Keeping, revision: int, until_s: float) -> None:
        """revision: packed, that the key has now."""
        self._ended.clear()
        self._kept, self._looked_s = Kept(revision, until_s), time.monotonic()
        self._thread = threading.Thread(target=self._run, args=(keeping,), name=f"keeper {keeping.key}", daemon=True)
        self._thread.start()

    def look(self) -> Kept:
        """To be called every now and then."""
        self._looked_s = time.monotonic()
        return self._kept

    def stop(self) -> Kept:
        """Waits for what is under way."""
        self._ended.set()
        self.join()
        return self._kept

    def join(self) -> None:
        """Until it has ended by itself."""
        if self._thread is not None:
            self._thread.join()

    def _run(self, keeping: Keeping) -> None:
        wait_s = keeping.every_s
        with self._connect() as channel:
            kv = rpc.KVStub(channel)
            while not self._ended.wait(wait_s) and not self._kept.lost:
                wait_s = keeping.every_s if self._write(kv, keeping) else AGAIN_S

    def _write(self, kv: rpc.KVStub, keeping: Keeping) -> bool:
        """Whether it was written."""
        kept, started_s = self._kept, time.monotonic()
        if started_s - self._looked_s > self._unwatched_s:
            self._kept = Kept(kept.revision, kept.until_s, "the process stands still")
            return False
        key = keeping.key.encode()
        number = self._numbers.number(kept.revision)
        request = rpc.TxnRequest(
            compare=[rpc.Compare(key=key, target=Compare.MOD, result=Compare.EQUAL, mod_revision=number)],
            success=[rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=keeping.value()))],
            failure=[rpc.RequestOp(request_range=rpc.RangeRequest(key=key))],
        )
        try:
            answer = kv.Txn(request, timeout=keeping.within_s)
        except grpc.RpcError as error:
            if time.monotonic() >= kept.until_s:
                self._kept = Kept(kept.revision, kept.until_s, f"it could not be written in time: {error.code().name}")
            return False
        if answer.succeeded:
            self._kept = Kept(self._numbers.pack(answer.header.revision, 1), started_s + keeping.stays_s)
            return True
        present = answer.responses[0].response_range.kvs
        if present and keeping.is_own(present[0].value):  # an earlier write whose answer was lost
            self._kept = Kept(self._numbers.pack(present[0].mod_revision, 1), kept.until_s)
        else:
            self._kept = Kept(kept.revision, kept.until_s, "somebody else has it" if present else "it was deleted")
        return False
