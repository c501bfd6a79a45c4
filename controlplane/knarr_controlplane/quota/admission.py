"""Whether the quotas of a namespace admit a write, and what they then have used."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import msgspec

from knarr_api import kinds
from knarr_api.errors import Forbidden
from knarr_api.quantity import Quantity
from knarr_api.types.core_v1 import Pod, ResourceQuota
from knarr_controlplane.quota import amounts, scopes, usage
from knarr_controlplane.quota.amounts import Amounts

replace = msgspec.structs.replace


def charged(old: Any | None, new: Any, quotas: Iterable[ResourceQuota], now: datetime.datetime) -> list[ResourceQuota]:
    """The quotas whose use grows or shrinks by this write, as they must be stored with it. old: None for a creation.

    Raises Forbidden where one would be exceeded, or is not counted yet, or a pod does not say what is counted.
    """
    changed = []
    for quota in quotas:
        after = _checked(quota, new, now, creation=old is None)
        before = usage.charge(quota, old, now) if old is not None else {}
        delta = {name: quantity for name, quantity in amounts.difference(after, before).items() if quantity}
        if delta:
            changed.append(_with(quota, new, delta))
    return changed


def _checked(quota: ResourceQuota, obj: Any, now: datetime.datetime, *, creation: bool) -> dict[str, Quantity]:
    charge = usage.charge(quota, obj, now)
    status = quota.status
    if creation and isinstance(obj, Pod) and scopes.concerns(quota, obj):
        missing = usage.unspecified(obj, status.hard or quota.spec.hard)
        if missing:
            raise _forbidden(obj, f"failed quota: {quota.metadata.name}: must specify {missing}")
    uncounted = [name for name in sorted(charge) if name not in status.used or name not in status.hard]
    if uncounted:
        text = f"status unknown for quota: {quota.metadata.name}, resources: {','.join(uncounted)}"
        raise _forbidden(obj, text)
    return charge


def _with(quota: ResourceQuota, obj: Any, delta: Amounts) -> ResourceQuota:
    used = amounts.total((quota.status.used, delta))
    hard = quota.status.hard
    over = sorted(name for name, quantity in delta.items() if quantity > amounts.ZERO and used[name] > hard[name])
    if over:
        requested, before, limited = (_listed(part, over) for part in (delta, quota.status.used, hard))
        raise _forbidden(
            obj,
            f"exceeded quota: {quota.metadata.name}, requested: {requested}, used: {before}, limited: {limited}",
        )
    return replace(quota, status=replace(quota.status, used=used))


def _listed(part: Amounts, names: list[str]) -> str:
    return ",".join(f"{name}={part[name]}" for name in names)


def _forbidden(obj: Any, text: str) -> Forbidden:
    return Forbidden(f'{kinds.of(obj).qualified} "{obj.metadata.name}" is forbidden: {text}')
