"""What happens to objects, and what of it somebody is told who has asked for some of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

import msgspec

from knarr_api.errors import Internal
from knarr_api.fields import FieldSelector
from knarr_api.labels import Selector
from knarr_controlplane.cache.entries import CacheEntry

MAX_DELIVERY, MAX_DELIVERY_BYTES = 500, 1024 * 1024
"""In one message to a watcher; of the bytes, one object more."""


class ChangeType(Enum):
    ADDED = "ADDED"
    MODIFIED = "MODIFIED"
    DELETED = "DELETED"
    BOOKMARK = "BOOKMARK"

    __hash__ = object.__hash__  # Enum's own is Python code, which every event would run several times


class Change(msgspec.Struct, frozen=True, gc=False):
    """What a watcher is told. entry is None for a bookmark; for a deletion it is the last state."""

    type: ChangeType
    entry: CacheEntry | None
    revision: int


def in_messages(changes: Sequence[Change]) -> Iterator[tuple[Change, ...]]:
    """In the same order, in parts that are not too much for one message each."""
    part: list[Change] = []
    size_bytes = 0
    for change in changes:
        part.append(change)
        size_bytes += change.entry.size_bytes if change.entry is not None else 0
        if len(part) == MAX_DELIVERY or size_bytes >= MAX_DELIVERY_BYTES:
            yield tuple(part)
            part, size_bytes = [], 0
    if part:
        yield tuple(part)


Interest = tuple[str, str]
ALL: Interest = ("", "")
NODE, NAME = "spec.nodeName", "metadata.name"
INTERESTS = (NODE, NAME)
"""Fields by which watchers are told only what concerns them: each agent watches its own pods, and the ConfigMaps and
Secrets of these by name. What a change costs does not depend on how many others watch."""


@dataclass(frozen=True, slots=True)
class Filter:
    """What of a kind is asked for."""

    namespace: str = ""
    labels: Selector | None = None
    fields: FieldSelector | None = None

    @property
    def is_open(self) -> bool:
        """Whether it admits everything."""
        return not self.namespace and self.labels is None and self.fields is None

    def admits(self, entry: CacheEntry | None) -> bool:
        return (
            entry is not None
            and (not self.namespace or entry.namespace == self.namespace)
            and (self.labels is None or self.labels.matches(entry.labels))
            and (self.fields is None or self.fields.matches(entry.read))
        )

    def interest(self) -> Interest:
        """The one value of a field that all it admits have, where there is such a field; else ALL."""
        for field_ in INTERESTS:
            value = self.fields.exact(field_) if self.fields is not None else None
            if value:
                return field_, value
        return ALL


class Logged(msgspec.Struct, frozen=True, gc=False):
    """A change before any filter: old or new is None where it appeared or went, never both. size_bytes: of the newer's
    JSON."""

    revision: int
    old: CacheEntry | None
    new: CacheEntry | None
    size_bytes: int = 0

    def interests(self) -> list[Interest]:
        """Whose followers it may concern; each once."""
        old, new = self.old, self.new
        found: list[Interest] = [ALL]
        if entry := new or old:
            found.append((NAME, entry.name))
        before = old.read(NODE) if old is not None else ""
        after = new.read(NODE) if new is not None else ""
        if before:
            found.append((NODE, before))
        if after and after != before:
            found.append((NODE, after))
        return found

    def as_told(self, filter_: Filter) -> Change | None:
        """What a watcher with this filter sees of a change: an object may enter or leave what it asked for."""
        if filter_.is_open:
            before, after = self.old is not None, self.new is not None
        else:
            before, after = filter_.admits(self.old), filter_.admits(self.new)
        if after:
            return Change(ChangeType.MODIFIED if before else ChangeType.ADDED, self.new, self.revision)
        if before:
            if self.old is None:
                raise Internal("a change without an object")
            return Change(ChangeType.DELETED, self.new or self.old, self.revision)
        return None
