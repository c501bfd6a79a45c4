"""New objects as they are stored first: named, admitted, with their defaults, checked."""

from __future__ import annotations

import datetime
import hashlib
import random
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from knarr_api import errors, kinds
from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Namespace, Pod, ServiceAccount
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_api.types.scheduling_v1 import PriorityClass
from knarr_controlplane.cache.watch_cache import WatchCache
from knarr_controlplane.registry import accounts, managed_fields, priorities, rules
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.patching import Config
from knarr_controlplane.registry.policies import Policies
from knarr_controlplane.registry.rules import Admission
from knarr_controlplane.registry.siblings import Sibling, Siblings, template_of
from knarr_telemetry import tracing

ACCOUNT, NAMESPACE = kinds.of(ServiceAccount), kinds.of(Namespace)


class Newborns:
    """Makes them, by what is there already. now: the wall clock; randomness: for uids and generated names."""

    def __init__(
        self,
        cache: WatchCache,
        policies: Policies,
        admission: Admission,
        *,
        now: Callable[[], datetime.datetime],
        randomness: random.Random,
    ) -> None:
        self._cache = cache
        self._policies = policies
        self._admission = admission
        self._now = now
        self._random = randomness
        self._classes: tuple[tuple[int, ...], dict[str, PriorityClass]] = ((), {})
        self.siblings = Siblings()

    def make(self, obj: Any, writer: Writer, config: Config | None = None) -> Any:
        """The object as it is to be stored: named, admitted, with its defaults, checked."""
        metadata: ObjectMeta = obj.metadata
        self._check(kinds.of(obj), metadata)
        if not metadata.name and metadata.generate_name:
            name = rules.generated_name(metadata.generate_name, self._random.getrandbits(64))
            obj = msgspec.structs.replace(obj, metadata=msgspec.structs.replace(metadata, name=name))
        if isinstance(obj, PriorityClass):
            priorities.check(obj)
        if config is not None:
            return _traced(config.created(self._admitted(obj), writer, self._now()))
        if not isinstance(obj, Pod):
            return _traced(managed_fields.created(self._admitted(obj), writer, self._now()))
        document = template_of(obj)
        template = (document, writer, self._circumstances(obj))
        sibling = self.siblings.of(template)
        if sibling is not None:
            return _traced(sibling.born(obj.metadata.name, self.uid(), self._now()))
        new = managed_fields.created(self._admitted(obj), writer, self._now())
        if document is not None:
            self.siblings.remember(template, Sibling(obj, new))
        return _traced(new)

    def _check(self, kind: Kind, metadata: ObjectMeta) -> None:
        """Raises what ``Registry.create`` raises before it looks at the object."""
        self._cache.of(kind)
        if metadata.resource_version:
            raise errors.Invalid("resourceVersion should not be set on objects to be created")
        self._check_namespace(kind, metadata)

    def belongings(self, new: Any) -> tuple[ServiceAccount, ...]:
        """What is stored with a new object: a namespace has its account from the first moment."""
        if not isinstance(new, Namespace):
            return ()
        key = ACCOUNT.key(new.metadata.name, accounts.DEFAULT)
        if self._cache.get(ACCOUNT, key) is not None:
            return ()
        account = accounts.default(new.metadata.name)
        return (rules.created(account, now=self._now(), uid=self.uid(), admission=self._admission),)

    def uid(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def _admitted(self, obj: Any) -> Any:
        if isinstance(obj, Pod):
            obj = self._accounted(priorities.prioritised(obj, self._priority_classes()))
        obj = self._policies.limited(obj)
        return rules.created(obj, now=self._now(), uid=self.uid(), admission=self._admission)

    def _circumstances(self, pod: Pod) -> tuple[Any, ...]:
        """All that ``_admitted`` looks at besides the pod."""
        self._priority_classes()
        entry = self._cache.get(ACCOUNT, ACCOUNT.key(pod.metadata.namespace, accounts.named(pod)))
        account = (entry.uid, entry.revision) if entry is not None else ()
        return self._classes[0], account, self._policies.ranges(pod.metadata.namespace), self._admission

    def _accounted(self, pod: Pod) -> Pod:
        entry = self._cache.get(ACCOUNT, ACCOUNT.key(pod.metadata.namespace, accounts.named(pod)))
        # The same for all pods of an account, so that they can share in memory what is the same of them.
        digest = hashlib.sha256(entry.uid.encode() if entry is not None else b"").digest()
        suffix = rules.generated_name("", int.from_bytes(digest[:8], "big"))
        return accounts.accounted(pod, entry.value() if entry is not None else None, suffix)

    def _priority_classes(self) -> dict[str, PriorityClass]:
        """By name; read again only when one has changed."""
        stored = self._cache.of(kinds.of(PriorityClass)).entries
        seen = tuple(entry.revision for entry in stored.values())
        if seen != self._classes[0]:
            self._classes = (seen, {entry.name: entry.value() for entry in stored.values()})
        return self._classes[1]

    def _check_namespace(self, kind: Kind, metadata: ObjectMeta) -> None:
        if not kind.namespaced or not metadata.namespace:
            return
        entry = self._cache.get(NAMESPACE, NAMESPACE.key("", metadata.namespace))
        if entry is None:
            raise errors.not_found("namespaces", metadata.namespace)
        if entry.read("status.phase") == "Terminating":
            raise errors.Forbidden(
                f'{kind.qualified} "{metadata.name or metadata.generate_name}" is forbidden: unable to create new '
                f"content in namespace {metadata.namespace} because it is being terminated"
            )


def _traced(obj: Any) -> Any:
    """A pod with the trace of what makes it, for scheduler and agent to go on with; nobody's field."""
    if not isinstance(obj, Pod) or not (traceparent := tracing.traceparent()):
        return obj
    annotations = {**obj.metadata.annotations, tracing.ANNOTATION: traceparent}
    return msgspec.structs.replace(obj, metadata=msgspec.structs.replace(obj.metadata, annotations=annotations))
