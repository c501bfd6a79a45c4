"""Values of k8s.io.api.events.v1.

Generated from knarr_proto/k8s/events_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32
from knarr_api.time import keep_micros, keep_seconds
from knarr_api.types import core_v1, meta_v1


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.events.v1.Event"""

    api_version: str = msgspec.field(default_factory=lambda: "events.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "Event")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    event_time: datetime.datetime | None = None
    series: EventSeries | None = None
    reporting_controller: str = ""
    reporting_instance: str = ""
    action: str = ""
    reason: str = ""
    regarding: core_v1.ObjectReference | None = None
    related: core_v1.ObjectReference | None = None
    note: str = ""
    type: str = ""
    deprecated_source: core_v1.EventSource | None = None
    deprecated_first_timestamp: datetime.datetime | None = None
    deprecated_last_timestamp: datetime.datetime | None = None
    deprecated_count: Int32 | None = None

    def __post_init__(self) -> None:
        if self.event_time is not None:
            keep_micros(self, "event_time", self.event_time)
        if self.deprecated_first_timestamp is not None:
            keep_seconds(self, "deprecated_first_timestamp", self.deprecated_first_timestamp)
        if self.deprecated_last_timestamp is not None:
            keep_seconds(self, "deprecated_last_timestamp", self.deprecated_last_timestamp)


class EventList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.events.v1.EventList"""

    api_version: str = msgspec.field(default_factory=lambda: "events.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "EventList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[Event, ...] = ()


class EventSeries(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.events.v1.EventSeries"""

    count: Int32 | None = None
    last_observed_time: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.last_observed_time is not None:
            keep_micros(self, "last_observed_time", self.last_observed_time)
