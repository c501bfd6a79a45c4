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
from knarr_controlplane.store.etcd_keeper import UNWATCHED_S, EtcdKeeper
from knarr_controlplane.store.etcd_process import CORRUPTING_VERSIONS, EtcdTls
from knarr_controlplane.store.group_commit import GroupCommitter
from knarr_controlplane.store.protocol import (
    Check,
    Delete,
    Entry,
    KeyConflict,
    Listing,
    Operation,
    Outcome,
    Progress,
    Put,
    StoreEvent,
)

TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5.0
RESTORE_TIMEOUT_S = 60.0
PAGE = 2000
WINDOW_BYTES = 1024 * 1024
FULL_RETRY_S = 10.0
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
Compare = rpc.Compare
NEEDS_LEADER = (("hasleader", "true"),)
"""Of a watch: a member that is cut off from the others ends it, for it would see nothing more. Source: etcd's client,
``WithRequireLeader``."""
META = "/knarr/"
BASE_KEY, RESTORING_KEY = b"/knarr/revision-base", b"/knarr/restoring"
"""In a restored etcd: what is added to its revisions; that the restore is not complete."""
TOO_LARGE, TOO_MUCH = "larger than max", "too many requests"
NEVER = [rpc.RequestOp(request_put=rpc.PutRequest(key=b"/knarr/never"))]
"""Where a transaction without compares can't come. etcd counts what a transaction would put against its quota, but not
in nested ones: without this it would grow until the disk is full. What only deletes may go on when it is."""


class _Way:
    """How to get to the members."""

    def __init__(self, endpoints: tuple[str, ...], tls: EtcdTls | None, *, one_of_several: bool) -> None:
        """As ``EtcdStore.open``."""
        self.target = endpoints[0] if len(endpoints) == 1 else "ipv4:" + ",".join(endpoints)
        self.options: list[tuple[str, int | str]] = [
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.keepalive_time_ms", 10_000),
            ("grpc.keepalive_timeout_ms", 5_000),
            ("grpc.http2.ping_timeout_ms", 5_000),
            ("grpc.http2.bdp_probe", 0),  # a ping with every answer; the window is wide from the start instead
            ("grpc.http2.lookahead_bytes", WINDOW_BYTES),
            ("grpc.lb_policy_name", "round_robin" if len(endpoints) > 1 else "pick_first"),
        ]
        self.credentials: grpc.ChannelCredentials | None = None
        if tls is not None:
            if len(endpoints) > 1 or one_of_several:
                self.options.append(("grpc.ssl_target_name_override", tls.server_name))
            files = (tls.ca, tls.key, tls.certificate)
            self.credentials = grpc.ssl_channel_credentials(*(file.read_bytes() for file in files))

    def channel(self) -> grpc.Channel:
        """One that blocks, for a thread."""
        if self.credentials is None:
            return grpc.insecure_channel(self.target, self.options)
        return grpc.secure_channel(self.target, self.credentials, self.options)


class EtcdStore:
    """Open with :meth:`open`. One channel to a list of members; gRPC moves to another when one is lost."""

    def __init__(self, channel: grpc.aio.Channel, endpoints: Sequence[str]) -> None:
        self._channel = channel
        self.endpoints = tuple(endpoints)
        self._kv = rpc.KVStub(channel)
        self._watch = rpc.WatchStub(channel)
        self.maintenance = rpc.MaintenanceStub(channel)
        self._committer = GroupCommitter(self._apply, in_flight=2)
        self.full = asyncio.Event()
        """A write was refused for want of room: see :mod:`knarr_controlplane.store.etcd_room`."""
        self._tls: EtcdTls | None = None
        self._way: _Way | None = None
        self._closed = False
        self._numbers = revision.Numbering()

    @classmethod
    async def open(
        cls,
        endpoints: Sequence[str],
        *,
        tls: EtcdTls | None = None,
        timeout_s: float = CONNECT_TIMEOUT_S,
        restoring: bool = False,
        one_of_several: bool = False,
    ) -> EtcdStore:
        """Connect. Raises Unavailable naming the endpoints, Invalid for a version that loses data.

        restoring: only ``begin_restore`` and what belongs to it will be called. one_of_several: the certificate holds
        the name that the members share.
        """
        way = _Way(tuple(endpoints), tls, one_of_several=one_of_several)
        if way.credentials is None:
            channel = grpc.aio.insecure_channel(way.target, way.options)
        else:
            channel = grpc.aio.secure_channel(way.target, way.credentials, way.options)
        store = cls(channel, endpoints)
        store._tls, store._way = tls, way
        try:
            status = await store.call(store.maintenance.Status, rpc.StatusRequest(), timeout_s, wait=True)
            if not restoring:
                await store._read_base()
        except KnarrError:
            await channel.close(None)
            raise
        if status.version in CORRUPTING_VERSIONS:
            await channel.close(None)
            raise Invalid(f"etcd {status.version} can corrupt its data: use 3.5.3 or later, or 3.4")
        return store

    async def get(self, key: str) -> Entry | None:
        answer = await self.call(self._kv.Range, rpc.RangeRequest(key=key.encode()))
        return self._entry(answer.kvs[0]) if answer.kvs else None

    async def list(self, prefix: str, *, limit: int = 0, after: str = "", at_revision: int = 0) -> Listing:
        start = after.encode() + b"\0" if after and after >= prefix else prefix.encode()
        end = _end_of(prefix)
        number = self._numbers.number(at_revision)
        if number < 0:
            raise Expired(f"resource version {at_revision} is from before the store was restored")
        entries: list[Entry] = []
        page = limit or PAGE
        while True:
            wanted = min(limit - len(entries), page) if limit else page
            request = rpc.RangeRequest(key=start, range_end=end, limit=wanted, revision=number)
            try:
                answer = await self.call(self._kv.Range, request)
            except ResourceExhausted:
                if wanted == 1:
                    raise
                page = wanted // 2
                continue
            number = number or answer.header.revision
            entries += [self._entry(kv) for kv in answer.kvs]
            if not answer.more or (limit and len(entries) >= limit):
                return Listing(tuple(entries), self._numbers.pack(number), bool(answer.more))
            start = answer.kvs[-1].key + b"\0"

    async def commit(self, operations: Sequence[Operation]) -> tuple[int, ...]:
        return await self._committer.commit(operations)

    async def commit_each(self, commits: Sequence[Sequence[Operation]]) -> Sequence[Outcome]:
        return await self._committer.commit_each(commits)

    async def watch(
        self, prefix: str, *, after: int, previous: bool = True
    ) -> AsyncIterator[tuple[StoreEvent | Progress, ...]]:
        whole = revision.position(after) == revision.WHOLE
        start = self._numbers.number(after)
        if start < 0:
            raise Expired(f"resource version {after} is from before the store was restored")
        start += 1 if whole else 0
        # Positions count all changes of a revision, so everything of ours is watched and filtered here.
        root = "/registry/" if prefix.startswith("/registry/") else prefix
        create = rpc.WatchCreateRequest(
            key=root.encode(), range_end=_end_of(root), start_revision=start, prev_kv=previous, progress_notify=True
        )
        call = self._watch.Watch(metadata=NEEDS_LEADER)
        try:
            await call.write(rpc.WatchRequest(create_request=create))
            last, position = 0, 0
            while True:
                answer = await call.read()
                if not isinstance(answer, rpc_pb2.WatchResponse):
                    raise Unavailable(f"etcd at {self._where()} ended the watch")
                if answer.compact_revision:
                    compacted = self._numbers.pack(answer.compact_revision)
                    raise Expired(f"resource version {after} is too old ({compacted})")
                if answer.canceled:
                    raise Unavailable(f"etcd at {self._where()} cancelled the watch: {answer.cancel_reason}")
                batch: list[StoreEvent | Progress] = []
                for event in answer.events:
                    number = event.kv.mod_revision
                    position = position + 1 if number == last else 1
                    last = number
                    packed = self._numbers.pack(number, position)
                    if packed <= after:
                        continue
                    key = event.kv.key.decode()
                    if key.startswith(prefix):
                        batch.append(self._event(event, key, packed))
                if not batch and (answer.events or not answer.created):
                    # With events the header may name a revision whose own events are in an answer to come.
                    told = last if answer.events else answer.header.revision
                    batch.append(Progress(self._numbers.pack(told)))
                if batch:
                    yield tuple(batch)
        except grpc.aio.AioRpcError as error:
            raise self._translated(error) from error
        finally:
            call.cancel()

    async def revision(self) -> int:
        answer = await self.call(self._kv.Range, rpc.RangeRequest(key=b"\0", limit=1, count_only=True))
        return self._numbers.pack(answer.header.revision)

    async def to_member(self, endpoint: str) -> EtcdStore:
        """The same store by one of its members alone. Raises Unavailable."""
        return await EtcdStore.open([endpoint], tls=self._tls, one_of_several=len(self.endpoints) > 1)

    def keeper(self, *, unwatched_s: float = UNWATCHED_S) -> EtcdKeeper:
        """Holds a key from a thread of its own, for so long if nobody looks."""
        assert self._way is not None, "open() has set it"
        return EtcdKeeper(self._way.channel, self._numbers, unwatched_s=unwatched_s)

    async def compact(self, before: int, *, wait: bool = False) -> None:
        """wait: until it takes no room any more."""
        number = self._numbers.number(before)
        if number <= 0:
            return
        try:
            await self.call(self._kv.Compact, rpc.CompactionRequest(revision=number, physical=wait))
        except Expired:
            pass

    async def close(self) -> None:
        if not self._closed:
            await self._committer.close()
            self._closed = True
            await self._channel.close(None)

    # Restoring

    async def _read_base(self) -> None:
        """What a restore has left. Raises Unavailable while one is not complete."""
        answer = await self.call(self._kv.Range, rpc.RangeRequest(key=META.encode(), range_end=_end_of(META)))
        kept = {kv.key: kv.value for kv in answer.kvs}
        if RESTORING_KEY in kept:
            raise Unavailable(f"etcd at {self._where()} holds a restore that was broken off: repeat 'knarr restore'")
        self._numbers = revision.Numbering(int(kept.get(BASE_KEY, b"0")))

    async def check_empty(self) -> None:
        """Raises Invalid for an etcd that holds anything but what a restore that was broken off has left."""
        answer = await self.call(self._kv.Range, rpc.RangeRequest(key=RESTORING_KEY))
        for prefix in () if answer.kvs else ("/registry/", META):
            held = rpc.RangeRequest(key=prefix.encode(), range_end=_end_of(prefix), count_only=True)
            if (await self.call(self._kv.Range, held)).count:
                raise Invalid(f"etcd at {self._where()} is not empty: it has keys below {prefix}")

    async def begin_restore(self, base: int) -> None:
        """Let revisions count from ``base``. What a restore that was broken off has left is removed.

        Raises as ``check_empty``. Not for two at a time.
        """
        await self.check_empty()
        await self._put_raw([(RESTORING_KEY, b"1"), (BASE_KEY, str(base).encode())])
        everything = rpc.DeleteRangeRequest(key=b"/registry/", range_end=_end_of("/registry/"))
        await self.call(self._kv.DeleteRange, everything, RESTORE_TIMEOUT_S)

    async def put_restored(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """In one transaction. Repeating it changes nothing but revisions."""
        await self._put_raw([(key.encode(), value) for key, value in entries])

    async def end_restore(self) -> None:
        """Complete: it may be opened from now on."""
        await self.call(self._kv.DeleteRange, rpc.DeleteRangeRequest(key=RESTORING_KEY), RESTORE_TIMEOUT_S)

    async def _put_raw(self, pairs: Sequence[tuple[bytes, bytes]]) -> None:
        puts = [rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=value)) for key, value in pairs]
        await self.call(self._kv.Txn, rpc.TxnRequest(success=puts), RESTORE_TIMEOUT_S)

    def _entry(self, kv: Any) -> Entry:
        pack = self._numbers.pack
        return Entry(kv.key.decode(), kv.value, pack(kv.mod_revision, 0), pack(kv.create_revision, 0))

    def _event(self, event: Any, key: str, packed: int) -> StoreEvent:
        previous = event.prev_kv.value if event.prev_kv.mod_revision else None
        deleted = event.type == 1
        created = event.prev_kv.create_revision if deleted else event.kv.create_revision
        value = None if deleted else event.kv.value
        return StoreEvent(key, value, packed, previous, self._numbers.pack(created, 0) if created else 0)

    async def _apply(self, batch: Sequence[tuple[Operation, ...]]) -> Sequence[Outcome]:
        writes = any(isinstance(operation, Put) for operations in batch for operation in operations)
        request = rpc.TxnRequest(failure=NEVER if writes else [])
        for operations in batch:
            _fill(request.success.add().request_txn, operations, self._numbers)
        answer = await self.call(self._kv.Txn, request, writes=True)
        number, pack = answer.header.revision, self._numbers.pack
        outcomes: list[Outcome] = []
        position = 0
        for operations, response in zip(batch, answer.responses, strict=True):
            nested = response.response_txn
            if not nested.succeeded:
                outcomes.append(_conflict(operations, nested, self._numbers))
                continue
            revisions: list[int] = []
            asked = 0
            for operation in operations:
                if isinstance(operation, Check):
                    revisions.append(0)
                    continue
                asked += 1
                if isinstance(operation, Delete) and not nested.responses[asked - 1].response_delete_range.deleted:
                    revisions.append(0)
                    continue
                position += 1
                revisions.append(pack(number, position))
            outcomes.append(tuple(revisions))
        return outcomes

    async def call(
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
            self.full.set()
            return ResourceExhausted(
                "etcd is full (NOSPACE): delete what is not needed or raise its --quota-backend-bytes; "
                "nothing was written",
                retry_after_s=FULL_RETRY_S,
            )
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in text:
            return ResourceExhausted(f"etcd at {self._where()} answers with too much at once: {text}")
        if "too large" in text or "too many operations" in text:
            return Invalid(f"etcd refuses the request: {text}")
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded(f"etcd at {self._where()} did not answer in time{unsure}")
        if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.UNKNOWN):
            return Unavailable(f"etcd at {self._where()} is unreachable ({text}){unsure}", retry_after_s=1.0)
        if TOO_MUCH in text:
            return Unavailable(f"etcd at {self._where()} has too much to do ({text})", retry_after_s=1.0)
        return Internal(f"etcd at {self._where()}: {code.name}: {text}{unsure}")

    def _where(self) -> str:
        return ", ".join(self.endpoints)


def _end_of(prefix: str) -> bytes:
    raw = prefix.encode()
    return raw[:-1] + bytes([raw[-1] + 1])


def _fill(transaction: Any, operations: Sequence[Operation], numbers: revision.Numbering) -> None:
    """In place: a message that is made of others copies them, with the values in them."""
    for operation in operations:
        key = operation.key.encode()
        if operation.expected is not None:
            number = numbers.number(operation.expected)
            transaction.compare.add(key=key, target=Compare.MOD, result=Compare.EQUAL, mod_revision=number)
            read = transaction.failure.add().request_range
            read.key, read.keys_only = key, True
        if isinstance(operation, Put):
            put = transaction.success.add().request_put
            put.key, put.value = key, operation.value
        elif isinstance(operation, Delete):
            transaction.success.add().request_delete_range.key = key


def _conflict(operations: Sequence[Operation], nested: Any, numbers: revision.Numbering) -> KeyConflict:
    compared = [operation for operation in operations if operation.expected is not None]
    for operation, response in zip(compared, nested.responses, strict=True):
        kvs = response.response_range.kvs
        actual = kvs[0].mod_revision if kvs else 0
        if actual != numbers.number(operation.expected or 0):
            return KeyConflict(operation.key, numbers.pack(actual, 0) if actual else 0)
    return KeyConflict(compared[0].key, 0)
