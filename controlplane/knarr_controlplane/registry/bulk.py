"""Many writes that belong together, each with its own outcome: decided one after the other, committed with one wait.

A ReplicaSet's new pods, the nodes that the scheduler has found, the statuses that an agent sends. What a write alone
would wait for or repeat (a quota's turn, a conflict) is left to the write alone, afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from knarr_api import deletion, errors, kinds
from knarr_api.errors import KnarrError
from knarr_api.kinds import Kind
from knarr_client.client import outcomes
from knarr_controlplane.cache.entries import CacheEntry
from knarr_controlplane.registry import managed_fields
from knarr_controlplane.registry.addressing import key_of, without_revision
from knarr_controlplane.registry.managed_fields import Writer
from knarr_controlplane.registry.registry import QUIET, Registry
from knarr_controlplane.registry.siblings import Sibling
from knarr_controlplane.store.protocol import KeyConflict

Outcome = CacheEntry | KnarrError


class Wanted(msgspec.Struct, frozen=True, gc=False):
    """One change: what ``decide`` makes of the object."""

    namespace: str
    name: str
    decide: Callable[[Any], Any]


async def create_all(registry: Registry, objs: Sequence[Any], *, writer: Writer = QUIET) -> list[Outcome]:
    """As ``Registry.create`` for each. All are of one kind."""
    if not objs:
        return []
    kind = kinds.of(objs[0])
    found: dict[int, Outcome] = {}
    alone: list[int] = []
    puts: dict[int, tuple[str, Any, int]] = {}
    sibling: Sibling | None = None
    for place, obj in enumerate(objs):
        metadata = obj.metadata
        if not metadata.name or registry.is_charged(kind, metadata.namespace, creation=True):
            alone.append(place)
            continue
        try:
            if sibling is not None and sibling.is_like(obj):
                new = sibling.named(metadata.name, registry.newborns.uid())
            else:
                new = registry.newborns.make(obj, writer)
                sibling = Sibling(obj, new)
        except (errors.NotFound, errors.Forbidden):
            alone.append(place)
        except KnarrError as error:
            found[place] = error
        else:
            puts[place] = (key_of(kind, new.metadata.namespace, new.metadata.name), new, 0)
    for place, outcome in zip(puts, await registry.writes.put_all(kind, tuple(puts.values())), strict=True):
        if isinstance(outcome, KeyConflict) and outcome.key != puts[place][0]:
            alone.append(place)
            continue
        if isinstance(outcome, KeyConflict):
            outcome = errors.already_exists(kind.resource, objs[place].metadata.name, kind.group)
        found[place] = outcome
    single = (registry.create(objs[place], writer=writer) for place in alone)
    found.update(zip(alone, await outcomes(single), strict=True))
    return [found[place] for place in range(len(objs))]


async def change_all(
    registry: Registry,
    kind: Kind,
    changes: Sequence[Wanted],
    *,
    writer: Writer | None = None,
    reported: bool = False,
) -> list[Outcome]:
    """As ``Registry.change`` for each. reported: by the agents of the pods' nodes."""
    found: dict[int, Outcome] = {}
    alone: list[int] = []
    puts: dict[int, tuple[str, Any, int]] = {}
    seen: dict[int, tuple[CacheEntry | None, Outcome]] = {}
    now = registry.now()
    for place, wanted in enumerate(changes):
        if registry.is_charged(kind, wanted.namespace, creation=False):
            alone.append(place)
            continue
        entry: CacheEntry | None = None
        try:
            entry = registry.get(kind, wanted.namespace, wanted.name)
            old = without_revision(entry.value())
            new = without_revision(wanted.decide(old))
            if writer is not None:
                new = managed_fields.updated(old, new, writer, now)
        except KnarrError as error:
            seen[place] = entry, error
            continue
        if deletion.may_go(new):
            alone.append(place)
        elif new == old:
            seen[place] = entry, entry
        else:
            puts[place] = (entry.key, new, entry.revision)
    stored = await registry.writes.put_all(kind, tuple(puts.values()), reported=reported)
    for place, outcome in zip(puts, stored, strict=True):
        if isinstance(outcome, KeyConflict):
            alone.append(place)
        else:
            found[place] = outcome
    newest = await _newest(registry, kind, changes, seen)
    found.update(newest)
    alone.extend(place for place in seen if place not in newest)
    again = (changes[place] for place in alone)
    single = (registry.change(kind, each.namespace, each.name, each.decide, writer=writer) for each in again)
    found.update(zip(alone, await outcomes(single), strict=True))
    return [found[place] for place in range(len(changes))]


async def _newest(
    registry: Registry,
    kind: Kind,
    changes: Sequence[Wanted],
    seen: Mapping[int, tuple[CacheEntry | None, Outcome]],
) -> dict[int, Outcome]:
    """Refusals, and what there is nothing to change of: those that hold for what is stored as well, and not only for a
    cache that is behind. seen: what they were decided on, and how."""
    if not seen:
        return {}
    try:
        await registry.catch_up()
    except KnarrError as error:
        return dict.fromkeys(seen, error)

    def holds(wanted: Wanted, entry: CacheEntry | None, outcome: Outcome) -> bool:
        if isinstance(outcome, errors.NotFound):
            return registry.is_missing(kind, wanted.namespace, wanted.name)
        return entry is None or not entry.replaced

    return {place: outcome for place, (entry, outcome) in seen.items() if holds(changes[place], entry, outcome)}
