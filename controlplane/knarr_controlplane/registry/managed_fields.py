"""Who set which field: ``metadata.managedFields``. Pure: the time is an argument.

One entry per manager, operation, subresource and version of the API. A manager that changes a field by an update owns
it from then on, alone. Those who apply own what they applied (:mod:`server_side_apply`); several may own a field that
they want the same.

Knarr's own components write quietly (``Writer.quiet``): what they make is not tracked, and what they change only where
somebody's fields may be concerned. See ``docs/decisions/0018-managed-fields.md``.
"""

from __future__ import annotations

import datetime
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from knarr_api import json
from knarr_api.errors import FieldError, Invalid
from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import ManagedFieldsEntry
from knarr_controlplane.registry import field_changes, field_sets
from knarr_controlplane.registry.field_changes import Changes
from knarr_controlplane.registry.field_sets import EMPTY, Path, Paths

replace = msgspec.structs.replace

APPLY, UPDATE = "Apply", "Update"
MAX_UPDATE_MANAGERS = 10
"""Of one object; the oldest ones become one, named ``ancient-changes``."""
ANCIENT = "ancient-changes"
MAX_MANAGER = 128
SET_BY_API = (
    *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink", "uid"),
    *("managedFields", "resourceVersion"),
)
_META = ("name", "namespace", *SET_BY_API)
NOBODYS: Paths = frozenset(
    {("f:apiVersion",), ("f:kind",), ("f:metadata",), *(("f:metadata", f"f:{name}") for name in _META)}
)
"""Identity, and what the API sets itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Who writes, and how. quiet: one of Knarr's own components."""

    manager: str
    operation: str = UPDATE
    subresource: str = ""
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Manager:
    """What tells entries apart. api_version is empty for those who apply: their next version takes the entry over."""

    name: str
    operation: str
    api_version: str
    subresource: str = ""

    @property
    def shown(self) -> str:
        """As conflicts name it: ``"kubectl" with subresource "scale" using apps/v1``."""
        words = f'"{self.name}"'
        if self.subresource:
            words += f' with subresource "{self.subresource}"'
        return words + (f" using {self.api_version}" if self.operation == UPDATE else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Owned:
    """One manager's fields, since when, and the version that their paths are of."""

    paths: Paths
    api_version: str
    time: datetime.datetime | None = None


Managers = dict[Manager, Owned]


def manager_of(writer: Writer, api_version: str) -> Manager:
    return Manager(
        name=writer.manager,
        operation=writer.operation,
        api_version=api_version if writer.operation == UPDATE else "",
        subresource=writer.subresource,
    )


def check_name(name: str) -> None:
    """Raises Invalid for a name that is too long or not printable."""
    if len(name) > MAX_MANAGER:
        message = f"may not be more than {MAX_MANAGER} bytes"
        raise Invalid(f"fieldManager: Too long: {message}", details=[FieldError("fieldManager", message, "Too long")])
    if not name.isprintable():
        raise Invalid(f"fieldManager: Invalid value: {name!r}: should only contain printable characters")


def read(entries: Iterable[ManagedFieldsEntry]) -> Managers:
    """Raises Invalid for entries that are none."""
    managers: Managers = {}
    for entry in entries:
        if entry.operation not in (APPLY, UPDATE):
            raise Invalid(
                f'metadata.managedFields.operation: Invalid value: "{entry.operation}": must be Apply or Update'
            )
        if entry.fields_type not in ("", "FieldsV1"):
            raise Invalid(f'metadata.managedFields.fieldsType: Invalid value: "{entry.fields_type}": must be FieldsV1')
        writer = Writer(manager=entry.manager, operation=entry.operation, subresource=entry.subresource)
        manager = manager_of(writer, entry.api_version)
        paths = field_sets.from_fields_v1(entry.fields_v1 or {})
        if manager in managers:
            paths |= managers[manager].paths
        managers[manager] = Owned(paths=paths, api_version=entry.api_version, time=entry.time)
    return managers


def written(managers: Managers) -> tuple[ManagedFieldsEntry, ...]:
    """As entries: those who apply first, then by time."""
    found = [
        ManagedFieldsEntry(
            manager=manager.name,
            operation=manager.operation,
            api_version=owned.api_version,
            time=owned.time,
            fields_type="FieldsV1",
            fields_v1=field_sets.to_fields_v1(owned.paths),
            subresource=manager.subresource,
        )
        for manager, owned in _capped(managers).items()
        if owned.paths
    ]
    return tuple(sorted(found, key=_order))


def _order(entry: ManagedFieldsEntry) -> tuple[str, float, str, str, str]:
    since = entry.time.timestamp() if entry.time is not None else 0.0
    return (entry.operation, since, entry.manager, entry.api_version, entry.subresource)


def _capped(managers: Managers) -> Managers:
    """With the oldest updaters made one where there are too many."""
    updaters = [manager for manager, owned in managers.items() if manager.operation == UPDATE and owned.paths]
    if len(updaters) <= MAX_UPDATE_MANAGERS:
        return managers
    always = datetime.datetime.min.replace(tzinfo=datetime.UTC)
    updaters.sort(key=lambda manager: (manager.name != ANCIENT, managers[manager].time or always))
    oldest = updaters[: len(updaters) - MAX_UPDATE_MANAGERS + 1]
    kept = {manager: owned for manager, owned in managers.items() if manager not in oldest}
    for manager in oldest:
        owned = managers[manager]
        ancient = Manager(name=ANCIENT, operation=UPDATE, api_version=owned.api_version)
        before = kept.get(ancient)
        kept[ancient] = Owned(
            paths=owned.paths | (before.paths if before is not None else EMPTY),
            api_version=owned.api_version,
            time=owned.time,
        )
    return kept


def created(obj: Any, writer: Writer, now: datetime.datetime) -> Any:
    """A new object with its writer's fields recorded."""
    if writer.quiet:
        return _with(obj, ())
    if isinstance(obj, Pod):
        entries = _of_new_pod(json.encode(_with(_nameless(obj), ())), writer)
    else:
        entries = _of_new(obj, writer)
    return _with(obj, at(entries, now.replace(microsecond=0)))


def at(entries: tuple[ManagedFieldsEntry, ...], now: datetime.datetime) -> tuple[ManagedFieldsEntry, ...]:
    """Those of an object that is made at that time, in whole seconds."""
    return tuple(replace(entry, time=now) for entry in entries)


def _nameless(pod: Pod) -> Pod:
    metadata = replace(pod.metadata, name="", namespace="", uid="", creation_timestamp=None)
    return replace(pod, metadata=metadata)


@functools.lru_cache(maxsize=512)
def _of_new_pod(document: bytes, writer: Writer) -> tuple[ManagedFieldsEntry, ...]:
    """Pods are made by the thousands that differ in their names alone, which are nobody's."""
    return _of_new(json.decode(document, Pod), writer)


def _of_new(obj: Any, writer: Writer) -> tuple[ManagedFieldsEntry, ...]:
    """With a time to be replaced."""
    managers: Managers = {}
    _take(managers, obj, field_changes.between(None, obj), writer, datetime.datetime.fromtimestamp(0, datetime.UTC))
    return written(managers)


def updated(old: Any, new: Any, writer: Writer, now: datetime.datetime) -> Any:
    """``new`` with the fields that changed owned by the writer. A client may reset the record, or give another one."""
    present, given = old.metadata.managed_fields, new.metadata.managed_fields
    given = _given(present, given) if not writer.subresource else present
    if writer.quiet and not concerns(given, writer):
        return _with(new, given)
    bare_old, bare_new = _with(old, ()), _with(new, ())
    if bare_old == bare_new:
        return _with(new, given)
    managers = read(given)
    changes = field_changes.between(bare_old, bare_new)
    release(managers, changes, but=manager_of(writer, new.api_version))
    _take(managers, new, changes, writer, now)
    return _with(new, written(managers))


def concerns(entries: tuple[ManagedFieldsEntry, ...], writer: Writer) -> bool:
    """Whether a quiet write may touch what somebody owns."""
    if writer.subresource != "status":
        return bool(entries)
    return any(isinstance(entry.fields_v1, dict) and "f:status" in entry.fields_v1 for entry in entries)


def release(managers: Managers, changes: Changes, *, but: Manager) -> None:
    """What one changes or removes the others do not own any more."""
    lost = changes.added | changes.modified | changes.removed
    for manager, owned in managers.items():
        if manager != but and not owned.paths.isdisjoint(lost):
            managers[manager] = replace_paths(owned, owned.paths - lost)


def replace_paths(owned: Owned, paths: Iterable[Path]) -> Owned:
    return Owned(paths=frozenset(paths), api_version=owned.api_version, time=owned.time)


def _take(managers: Managers, obj: Any, changes: Changes, writer: Writer, now: datetime.datetime) -> None:
    manager = manager_of(writer, obj.api_version)
    owned = managers.get(manager)
    changed = changes.set_ - NOBODYS
    if not writer.subresource:
        changed = {path for path in changed if path[0] != "f:status"}
    if not changed and (owned is None or owned.paths.isdisjoint(changes.removed)):
        return
    paths = ((owned.paths if owned is not None else EMPTY) - changes.removed) | changed
    managers[manager] = Owned(paths=paths, api_version=obj.api_version, time=now.replace(microsecond=0))


def _given(
    present: tuple[ManagedFieldsEntry, ...], given: tuple[ManagedFieldsEntry, ...]
) -> tuple[ManagedFieldsEntry, ...]:
    """What a client left out stays; one empty entry resets; what can't be read is ignored."""
    if not given or given == present:
        return present
    if given == (ManagedFieldsEntry(),):
        return ()
    try:
        return written(read(given))
    except Invalid:
        return present


def _with(obj: Any, entries: tuple[ManagedFieldsEntry, ...]) -> Any:
    if obj.metadata.managed_fields == entries:
        return obj
    return replace(obj, metadata=replace(obj.metadata, managed_fields=entries))
