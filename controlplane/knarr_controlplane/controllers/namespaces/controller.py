"""Empties a namespace that is being deleted, then lets it go.

All reads are live lists: a cache that lags would call a namespace empty that is not. Pods go first, so that nothing
that runs outlives its ConfigMaps and policies.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from knarr_api import errors, kinds
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Namespace, Pod
from knarr_client.client import Client, Key, meta_of
from knarr_client.clock import Clock
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.namespaces.conditions import Remains, conditions

FINALIZER = "kubernetes"
LOOK_AGAIN_S = 0.5
LOOK_AGAIN_FOR_OTHERS_S = 5.0
"""When finalizers of others are waited for."""
PAGE = 500


class NamespaceController:
    def __init__(self, client: Client, informers: SharedInformers, clock: Clock, queue: WorkQueue[Key]) -> None:
        self.queue = queue
        self._client = client
        self._clock = clock
        self._namespaces = informers.of(Namespace)
        self._namespaces.add_handler(self._namespace_changed)
        informers.of(Pod).add_handler(self._pod_changed)

    async def reconcile(self, key: Key) -> Again | None:
        namespace = self._namespaces.by_key(key)
        if namespace is None or not _is_ending(namespace):
            return None
        remains = await self._empty(key.name)
        if remains.empty:
            await self._finalize(namespace)
            return None
        await self._report(namespace, remains)
        return Again(LOOK_AGAIN_FOR_OTHERS_S if remains.finalizers else LOOK_AGAIN_S)

    async def _empty(self, namespace: str) -> Remains:
        """Ask for the deletion of everything; says what was there."""
        pod_kind = kinds.of(Pod)
        found = await self._delete_all(pod_kind, namespace)
        if not found.empty:
            return found
        objects: Counter[str] = Counter()
        finalizers: Counter[str] = Counter()
        failures: list[str] = []
        for kind in content_kinds():
            found = await self._delete_all(kind, namespace)
            objects.update(found.objects)
            finalizers.update(found.finalizers)
            failures += found.failures
        return Remains(objects=objects, finalizers=finalizers, failures=tuple(failures))

    async def _delete_all(self, kind: Kind, namespace: str) -> Remains:
        count = 0
        finalizers: Counter[str] = Counter()
        failures: list[str] = []
        continue_ = ""
        while True:
            page = await self._client.list(kind.type, namespace, limit=PAGE, continue_=continue_)
            for obj in page.items:
                count += 1
                metadata = meta_of(obj)
                finalizers.update(metadata.finalizers)
                if metadata.deletion_timestamp is None:
                    failure = await self._delete(kind, metadata.name, namespace, metadata.uid)
                    failures += [failure] if failure else []
            continue_ = page.continue_
            if not continue_:
                break
        return Remains(
            objects={kind.qualified: count} if count else {}, finalizers=finalizers, failures=tuple(failures)
        )

    async def _delete(self, kind: Kind, name: str, namespace: str, uid: str) -> str:
        """Why it failed, if it did."""
        try:
            await self._client.delete(kind.type, name, namespace, uid=uid)
        except (errors.NotFound, errors.Conflict):
            return ""
        except (errors.Forbidden, errors.Invalid, errors.Unimplemented) as error:
            return f"{kind.qualified} {name}: {error}"
        return ""

    async def _finalize(self, namespace: Namespace) -> None:
        left = tuple(name for name in namespace.spec.finalizers if name != FINALIZER)
        spec = msgspec.structs.replace(namespace.spec, finalizers=left)
        try:
            await self._client.update(msgspec.structs.replace(namespace, spec=spec))
        except errors.NotFound:
            return

    async def _report(self, namespace: Namespace, remains: Remains) -> None:
        wanted = conditions(namespace.status.conditions, remains, self._clock.now())
        status = msgspec.structs.replace(namespace.status, conditions=wanted, phase="Terminating")
        if status != namespace.status:
            await self._client.update_status(msgspec.structs.replace(namespace, status=status))

    def _namespace_changed(self, change: Change[Namespace]) -> None:
        if change.new is not None and _is_ending(change.new):
            self.queue.add(change.key)

    def _pod_changed(self, change: Change[Pod]) -> None:
        """The last pod gone: the rest can follow at once."""
        if change.new is None:
            namespace = self._namespaces.get(change.key.namespace)
            if namespace is not None and _is_ending(namespace):
                self.queue.add(Key("", change.key.namespace))


def content_kinds() -> tuple[Kind, ...]:
    """Every namespaced kind once, Events last: what goes on is worth seeing."""
    found: dict[str, Kind] = {}
    for kind in kinds.KINDS:
        if kind.namespaced:
            found.setdefault(kind.key_prefix, kind)
    return tuple(sorted(found.values(), key=lambda kind: kind.kind == "Event"))


def _is_ending(namespace: Namespace) -> bool:
    return namespace.metadata.deletion_timestamp is not None and FINALIZER in namespace.spec.finalizers
