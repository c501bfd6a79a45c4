"""A store in etcd v3, over gRPC.

A batch is one etcd transaction of nested ones, each with its compares and its own outcome (etcd: ``Txn`` within
``Txn``, API 3.3 and later). All changes of a batch share etcd's revision; a change's position is its place among them,
which is the order in which etcd's watch delivers them.

The messages are those of the maintained ``aetcd``; its client is not used, because batches, raw bytes and positions
need the messages themselves (``docs/decisions/0002-etcd-client.md``). Source: etcd documentation, "etcd API".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import grpc
import structlog
from aetcd import rpc
from aetcd.rpc import rpc_pb2

from knarr_api.errors import DeadlineExceeded, Expired, Internal, Invalid, KnarrError, ResourceExhausted, Unavailable
from knarr_controlplane.store import revision
from knarr_controlplane.store.etcd_process import CORRUPTING_VERSIONS, EtcdTls
from knarr_controlplane.store.group_commit import GroupCommitter, Outcome
from knarr_controlplane.store.protocol import (
    Check,
    Delete,
    Entry,
    KeyConflict,
    Listing,
    Operation,
    Progress,
    Put,
    StoreEvent,
)

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
PAGE = 2000
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
Compare = rpc.Compare


class EtcdStore:
    """Open with :meth:`open`. One channel to a list of members; gRPC moves to another when one is lost."""

    def __init__(self, channel: grpc.aio.Channel, endpoints: Sequence[str]) -> None:
        self._channel = channel
        self._endpoints = tuple(endpoints)
        self._kv = rpc.KVStub(channel)
        self._watch = rpc.WatchStub(channel)
        self._maintenance = rpc.MaintenanceStub(channel)
        self._committer = GroupCommitter(self._apply, in_flight=2)
        self._closed = False

    @classmethod
    async def open(
        cls,
        endpoints: Sequence[str],
        *,
        tls: EtcdTls | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
    ) -> EtcdStore:
        """Connect. Raises Unavailable naming the endpoints, Invalid for a version that loses data."""
        options = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.lb_policy_name", "round_robin" if len(endpoints) > 1 else "pick_first"),
        ]
        target = endpoints[0] if len(endpoints) == 1 else "ipv4:" + ",".join(endpoints)
        if tls is not None:
            credentials = grpc.ssl_channel_credentials(
                tls.ca.read_bytes(), tls.key.read_bytes(), tls.certificate.read_bytes()
            )
            channel = grpc.aio.secure_channel(target, credentials, options)
        else:
            channel = grpc.aio.insecure_channel(target, options)
        store = cls(channel, endpoints)
        try:
            status = await store._call(store._maintenance.Status, rpc.StatusRequest(), timeout_s, wait=True)
        except KnarrError:
            await channel.close(None)
            raise
        if status.version in CORRUPTING_VERSIONS:
            await channel.close(None)
            raise Invalid(f"etcd {status.version} can corrupt its data: use 3.5.3 or later, or 3.4")
        return store

    async def get(self, key: str) -> Entry | None:
        answer = await self._call(self._kv.Range, rpc.RangeRequest(key=key.encode()))
        return _entry(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        start = after.encode() + b"\0" if after and after >= prefix else prefix.encode()
        end = _end_of(prefix)
        number = revision.store_revision(at_revision)
        entries: list[Entry] = []
        while True:
            wanted = min(limit - len(entries), PAGE) if limit else PAGE
            answer = await self._call(
                self._kv.Range, rpc.RangeRequest(key=start, range_end=end, limit=wanted, revision=number)
            )
            number = number or answer.header.revision
            entries += [_entry(kv) for kv in answer.kvs]
            if not answer.more or (limit and len(entries) >= limit):
                return Listing(tuple(entries), revision.pack(number), bool(answer.more))
            start = answer.kvs[-1].key + b"\0"

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        return await self._committer.commit(operations)

    async def watch(self, prefix: str, *, after: int) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        whole = revision.position(after) == revision.WHOLE
        start = revision.store_revision(after) + (1 if whole else 0)
        # Positions count all changes of a revision, so everything of ours is watched and filtered here.
        root = "/registry/" if prefix.startswith("/registry/") else prefix
        create = rpc.WatchCreateRequest(
            key=root.encode(), range_end=_end_of(root), start_revision=start, prev_kv=True, progress_notify=True
        )
        call = self._watch.Watch()
        try:
            await call.write(rpc.WatchRequest(create_request=create))
            last, position = 0, 0
            while True:
                answer = await call.read()
                if not isinstance(answer, rpc_pb2.WatchResponse):
                    raise Unavailable(f"etcd at {self._where()} ended the watch")
                if answer.compact_revision:
                    raise Expired(f"resource version {after} is too old ({revision.pack(answer.compact_revision)})")
                if answer.canceled:
                    raise Unavailable(f"etcd at {self._where()} cancelled the watch: {answer.cancel_reason}")
                batch: list[StoreEvent | Progress] = []
                for event in answer.events:
                    number = event.kv.mod_revision
                    position = position + 1 if number == last else 1
                    last = number
                    packed = revision.pack(number, position)
                    if packed <= after:
                        continue
                    key = event.kv.key.decode()
                    if key.startswith(prefix):
                        batch.append(_event(event, key, packed))
                if not batch and (answer.events or not answer.created):
                    batch.append(Progress(revision.pack(answer.header.revision)))
                if batch:
                    yield tuple(batch)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from error
        finally:
            call.cancel()

    async def revision(self) -> int:
        answer = await self._call(self._kv.Range, rpc.RangeRequest(key=b"\0", limit=1, count_only=True))
        return revision.pack(answer.header.revision)

    async def compact(self, before: int) -> None:
        try:
            await self._call(self._kv.Compact, rpc.CompactionRequest(revision=revision.store_revision(before)))
        except Expired:
            pass

    async def close(self) -> None:
        if not self._closed:
            await self._committer.close()
            self._closed = True
            await self._channel.close(None)

    async def _apply(self, batch: Sequence[tuple[Operation, ...]]) -> Sequence[Outcome]:
        request = rpc.TxnRequest(success=[rpc.RequestOp(request_txn=_transaction(operations)) for operations in batch])
        answer = await self._call(self._kv.Txn, request, writes=True)
        number = answer.header.revision
        outcomes: list[Outcome] = []
        position = 0
        for operations, response in zip(batch, answer.responses, strict=True):
            nested = response.response_txn
            if not nested.succeeded:
                outcomes.append(_conflict(operations, nested))
                continue
            revisions: list[int] = []
            writes = iter(nested.responses)
            for operation in operations:
                if isinstance(operation, Check):
                    revisions.append(0)
                    continue
                write = next(writes)
                if isinstance(operation, Delete) and not write.response_delete_range.deleted:
                    revisions.append(0)
                    continue
                position += 1
                revisions.append(revision.pack(number, position))
            outcomes.append(tuple(revisions))
        return outcomes

    async def _call(
        self,
        method: Callable[..., Any],
        request: Any,
        timeout_s: float = TIMEOUT_S,
        *,
        wait: bool = False,
        writes: bool = False,
    ) -> Any:
        if self._closed:
            raise Unavailable("the store is closed")
        try:
            return await method(request, timeout=timeout_s, wait_for_ready=wait)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error, writes=writes) from error
        except asyncio.CancelledError:
            if writes:
                structlog.get_logger("knarr.store").warning("a write was abandoned; it may have happened")
            raise

    def _translated(self, error: grpc.aio.AioRpcError, *, writes: bool = False) -> KnarrError:
        code, text = error.code(), error.details() or ""
        unsure = "; the write may have happened" if writes else ""
        if "required revision has been compacted" in text or "future revision" in text:
            return Expired(f"the revision has been compacted: {text}")
        if "database space exceeded" in text:
            return ResourceExhausted(
                "etcd is full (NOSPACE): compact and defragment it, then 'etcdctl alarm disarm', or raise "
                "--quota-backend-bytes; nothing was written"
            )
        if "too large" in text or "too many operations" in text:
            return Invalid(f"etcd refuses the request: {text}")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"etcd at {self._where()} did not answer in time{unsure}")
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN):
            return Unavailable(f"etcd at {self._where()} is unreachable ({text}){unsure}", retry_after_s=1.0)
        return Internal(f"etcd at {self._where()}: {code.name}: {text}")

    def _where(self) -> str:
        return ", ".join(self._endpoints)


def _end_of(prefix: str) -> bytes:
    raw = prefix.encode()
    return raw[:-1] + bytes([raw[-1] + 1])


def _entry(kv: Any) -> Entry:
    return Entry(kv.key.decode(), kv.value, revision.pack(kv.mod_revision, 0), revision.pack(kv.create_revision, 0))


def _event(event: Any, key: str, packed: int) -> StoreEvent:
    previous = event.prev_kv.value if event.prev_kv.mod_revision else None
    deleted = event.type == 1
    created = event.prev_kv.create_revision if deleted else event.kv.create_revision
    return StoreEvent(key, None if deleted else event.kv.value, packed, previous, revision.pack(created, 0))


def _transaction(operations: Sequence[Operation]) -> Any:
    compares, writes, reads = [], [], []
    for operation in operations:
        key = operation.key.encode()
        if operation.expected is not None:
            number = revision.store_revision(operation.expected)
            compares.append(Compare(key=key, target=Compare.MOD, result=Compare.EQUAL, mod_revision=number))
            reads.append(rpc.RequestOp(request_range=rpc.RangeRequest(key=key, keys_only=True)))
        if isinstance(operation, Put):
            writes.append(rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=operation.value)))
        elif isinstance(operation, Delete):
            writes.append(rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key)))
    return rpc.TxnRequest(compare=compares, success=writes, failure=reads)


def _conflict(operations: Sequence[Operation], nested: Any) -> KeyConflict:
    compared = [operation for operation in operations if operation.expected is not None]
    for operation, response in zip(compared, nested.responses, strict=True):
        kvs = response.response_range.kvs
        actual = kvs[0].mod_revision if kvs else 0
        if actual != revision.store_revision(operation.expected or 0):
            return KeyConflict(operation.key, revision.pack(actual, 0) if actual else 0)
    return KeyConflict(compared[0].key, 0)
