"""The Client Protocol: the API's verbs for typed objects, and the values they exchange.

Not here: transport. ``GrpcClient`` (:mod:`knarr_client.grpc`) speaks it over the network, ``MemoryClient``
(:mod:`knarr_client.memory`) in memory, and the control plane has one of its own that calls its registry. All
pass one suite, ``tests/conformance/client``.

Every method raises the classes of :mod:`knarr_api.errors` and no other.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import msgspec

from knarr_api.errors import KnarrError
from knarr_api.types.meta_v1 import ObjectMeta

T = TypeVar("T", bound=msgspec.Struct)
T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


class Propagation(enum.Enum):
    """What happens to the objects owned by a deleted one."""

    BACKGROUND = "Background"
    """They are deleted afterwards."""
    FOREGROUND = "Foreground"
    """The owner stays until they are gone."""
    ORPHAN = "Orphan"
    """They stay, without the owner reference."""


class PatchType(enum.Enum):
    """Named by the content type that a patch of Kubernetes' has."""

    JSON = "application/json-patch+json"
    """RFC 6902: a list of operations."""
    MERGE = "application/merge-patch+json"
    """RFC 7396."""
    STRATEGIC = "application/strategic-merge-patch+json"
    """A merge patch that merges lists by their keys, with directives."""
    APPLY = "application/apply-patch+yaml"
    """Server-side apply: which fields the manager wants."""


class EventType(enum.Enum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"
    """No object; everything up to resource_version has been delivered."""


class Outcome(enum.Enum):
    """What an apply did."""

    CREATED = "created"
    CONFIGURED = "configured"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page(Generic[T_co]):
    """One page of a list; all items of one list are of one revision."""

    items: tuple[T_co, ...]
    resource_version: str
    continue_: str = ""
    remaining: int = 0
    """How many items follow; 0 as well where that is not known."""


class Event(msgspec.Struct, Generic[T_co], frozen=True, kw_only=True, gc=False):
    """One change. DELETED carries the last state; resource_version is where a watch may resume after it."""

    type: EventType
    object: T_co | None
    resource_version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied(Generic[T_co]):
    object: T_co
    outcome: Outcome
    warnings: tuple[str, ...] = ()


class Binding(msgspec.Struct, frozen=True):
    """A pod and the node that it is to run on."""

    namespace: str
    name: str
    uid: str
    node: str


class Client(Protocol):
    """The verbs. Objects are frozen values; what a write returns is what the API stored.

    Lifecycle: a client is usable from its construction to ``close`` (of those that have one), from one event loop.
    """

    async def get(self, type_: type[T], name: str, namespace: str = "") -> T:
        """Raises NotFound."""
        ...

    async def list(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 0,
        continue_: str = "",
    ) -> Page[T]:
        """Empty namespace: all. limit 0: everything in one page. Raises Expired for an old ``continue_``."""
        ...

    async def create(self, obj: T, *, field_manager: str = "") -> T:
        """Raises AlreadyExists, Invalid."""
        ...

    async def create_all(self, objs: Sequence[T]) -> Sequence[T | KnarrError]:
        """Objects of one kind, each for itself: as created, or the error that ``create`` would raise."""
        ...

    async def update(self, obj: T, *, field_manager: str = "") -> T:
        """Replace all but the status. Raises Conflict when metadata.resourceVersion is set and not the stored one."""
        ...

    async def update_status(self, obj: T, *, field_manager: str = "") -> T:
        """Replace the status alone. Raises Conflict as ``update`` does."""
        ...

    async def patch(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        patch: Mapping[str, Any],
        subresource: str = "",
        field_manager: str = "",
    ) -> T:
        """JSON merge patch (RFC 7396). A patch that holds metadata.resourceVersion raises Conflict on another one."""
        ...

    async def apply(self, obj: T, *, field_manager: str = "") -> Applied[T]:
        """Create, or merge with what was applied last."""
        ...

    async def delete(
        self,
        type_: type[T],
        name: str,
        namespace: str = "",
        *,
        grace_period_s: int | None = None,
        propagation: Propagation = Propagation.BACKGROUND,
        uid: str = "",
        resource_version: str = "",
    ) -> None:
        """Ask for deletion: gone at once, or marked with a deletionTimestamp until its finalizers or its node let go.

        uid, resource_version: preconditions, Conflict where they don't hold.
        """
        ...

    async def bind(self, *, namespace: str, name: str, uid: str, node: str) -> None:
        """Set spec.nodeName of a pod that has none. Raises Conflict where it has one or the uid is another."""
        ...

    async def bind_all(self, bindings: Sequence[Binding]) -> Sequence[KnarrError | None]:
        """Each for itself: None, or the error that ``bind`` would raise."""
        ...

    def watch(
        self,
        type_: type[T],
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> AsyncIterator[tuple[Event[T], ...]]:
        """Batches of changes after ``resource_version``, in order, none twice and none missing.

        Empty: first the present objects as ADDED, then a BOOKMARK, then changes. Never ends by itself: raises
        Expired (list again) or Unavailable (resume from the last revision seen).
        """
        ...


class Key(NamedTuple):
    """Names an object of a known kind; namespace is empty for kinds of the cluster."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def title_of(obj: msgspec.Struct) -> str:
    """``Kind/namespace/name``, as log lines name an object."""
    metadata = meta_of(obj)
    return f"{type(obj).__name__}/{Key(metadata.namespace, metadata.name)}"


def meta_of(obj: msgspec.Struct) -> ObjectMeta:
    """The metadata of any top-level object."""
    metadata: ObjectMeta = obj.metadata  # type: ignore[attr-defined]
    return metadata


def key_of(obj: msgspec.Struct) -> Key:
    metadata = meta_of(obj)
    return Key(metadata.namespace, metadata.name)


async def outcomes(calls: Iterable[Coroutine[Any, Any, R]]) -> list[R | KnarrError]:
    """All at once; what they return or the KnarrErrors that they raise, in their order."""

    async def outcome(call: Coroutine[Any, Any, R]) -> R | KnarrError:
        try:
            return await call
        except KnarrError as error:
            return error

    waiting = list(calls)
    if not waiting:  # as nearly always where what is to be done again or afterwards is asked for
        return []
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(outcome(call)) for call in waiting]
    return [task.result() for task in tasks]
