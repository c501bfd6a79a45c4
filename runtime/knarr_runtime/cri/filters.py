"""Which sandboxes and containers a filter means. Pure. Ids may be shortened; every part that is given must fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knarr_runtime.cri.records import ContainerRecord, SandboxRecord


def sandbox_fits(chosen: Any, record: SandboxRecord, state: int) -> bool:
    """chosen: a PodSandboxFilter or a PodSandboxStatsFilter."""
    if not record.id.startswith(chosen.id):
        return False
    if "state" in chosen.DESCRIPTOR.fields_by_name and chosen.HasField("state") and chosen.state.state != state:
        return False
    return _has_labels(record.config.labels, chosen.label_selector)


def container_fits(chosen: Any, record: ContainerRecord, state: int) -> bool:
    """chosen: a ContainerFilter or a ContainerStatsFilter."""
    if not record.id.startswith(chosen.id) or not record.sandbox_id.startswith(chosen.pod_sandbox_id):
        return False
    if "state" in chosen.DESCRIPTOR.fields_by_name and chosen.HasField("state") and chosen.state.state != state:
        return False
    return _has_labels(record.config.labels, chosen.label_selector)


def _has_labels(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == value for name, value in wanted.items())
