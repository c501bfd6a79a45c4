"""Which objects a list or a watch is about, and how a watcher sees a change."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import json
from knarr_api.fields import FieldSelector
from knarr_api.labels import Selector
from knarr_client.client import Event, EventType, meta_of
from knarr_client.memory.table import Record


@dataclass(frozen=True, slots=True)
class Filter:
    namespace: str
    labels: Selector | None
    fields: FieldSelector | None

    @classmethod
    def parse(cls, namespace: str, label_selector: str, field_selector: str) -> Filter:
        return cls(
            namespace=namespace,
            labels=Selector.parse(label_selector) if label_selector else None,
            fields=FieldSelector.parse(field_selector) if field_selector else None,
        )

    def selects(self, obj: msgspec.Struct | None) -> bool:
        if obj is None:
            return False
        metadata = meta_of(obj)
        if self.namespace and metadata.namespace != self.namespace:
            return False
        if self.labels is not None and not self.labels.matches(metadata.labels):
            return False
        return self.fields is None or self.fields.matches(functools.partial(field_of, obj))

    def event(self, record: Record) -> Event[Any] | None:
        """Leaving the selection is a deletion."""
        was, is_ = self.selects(record.old), self.selects(record.new)
        revision = str(record.revision)
        if is_:
            type_ = EventType.MODIFIED if was else EventType.ADDED
            return Event(type=type_, object=record.new, resource_version=revision)
        if was:
            return Event(type=EventType.DELETED, object=record.old, resource_version=revision)
        return None


def field_of(obj: msgspec.Struct, path: str) -> str:
    """The value of a field selector's path (``spec.nodeName``) as text; empty where there is none."""
    value: Any = json.to_builtins(obj)
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
