"""What a quota's status should be."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from knarr_api.kinds import Kind
from knarr_api.types.core_v1 import Pod, ResourceQuota, ResourceQuotaStatus
from knarr_controlplane.quota import usage


def kinds_of(quota: ResourceQuota) -> tuple[Kind, ...]:
    """The kinds whose objects have to be counted."""
    found = {kind.qualified: kind for name in quota.spec.hard if (kind := usage.kind_of(name)) is not None}
    return tuple(found[name] for name in sorted(found))


def status(quota: ResourceQuota, objects: Iterable[Any], now: datetime.datetime) -> ResourceQuotaStatus:
    return ResourceQuotaStatus(hard=dict(quota.spec.hard), used=usage.recount(quota, objects, now))


def frees(old: Pod, new: Pod | None, now: datetime.datetime) -> bool:
    """Whether a pod has stopped to count, or goes on its way there."""
    return new is None or (usage.has_ended(new, now) and not usage.has_ended(old, now))
