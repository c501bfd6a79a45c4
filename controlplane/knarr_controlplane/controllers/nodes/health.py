"""Does a node still renew its Lease? Pure; times are the controller's own monotonic seconds.

A node's clock is never compared with ours. What counts is when we saw its Lease change last; a node that has not been
looked at before counts as seen now. So the patience with every node starts anew

- when this controller starts or becomes the leader,
- when it was itself away: its loop stood still, or its watch of Leases was cut off (``forgiven``).

And for as long as one after the other is heard again then: thousands of agents that connect to a control plane that was
restarted take more than a grace period, and those that wait for their turn are not silent by their own fault. No longer
than ``all_silent_hold_s``.

When all nodes fall silent together, the fault is more likely on our side of the network. They are marked as usual, but
no pod is evicted before they have been silent for ``all_silent_hold_s``; and when the first of them is heard again, the
evictions of the others count from then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSettings:
    grace_s: float = 10.0
    """A node whose Lease has not changed for so long is unreachable."""
    all_silent_hold_s: float = 120.0


class Heard(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """renewal: what distinguishes one renewal of the Lease from the next. at_s: when it was first seen."""

    renewal: str
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    heard: dict[str, Heard] = field(default_factory=dict)
    """By node; who was heard last comes last. Not to be changed."""
    all_silent_since_s: float | None = None
    calm_since_s: float = 0.0
    """Silences are counted, for evictions, from here at the earliest."""
    awaited: frozenset[str] = frozenset()
    """Nodes that were forgiven and not heard since."""
    returned_s: float = 0.0
    """When the last of them was heard that had to wait: later than any heartbeat of one that is connected."""


def looked(health: Health, changed: Mapping[str, str | None], now_s: float, settings: HealthSettings) -> Health:
    """After looking at the Leases, never earlier than at the last look.

    changed: of each node that may differ from the last look its renewal, empty where it has no Lease, None where the
    node is gone.
    """
    heard = dict(health.heard)
    returned: set[str] = set()
    for node, renewal in changed.items():
        before = heard.get(node)
        if renewal is None:
            heard.pop(node, None)
        elif before is None or before.renewal != renewal:
            heard.pop(node, None)  # to the end
            heard[node] = Heard(renewal=renewal, at_s=now_s)
            returned.add(node)
    after = replace(health, heard=heard)
    if returned := returned & health.awaited:
        had_to_wait = now_s - health.calm_since_s > settings.grace_s / 2
        returned_s = now_s if had_to_wait else health.returned_s
        after = replace(after, awaited=health.awaited - returned, returned_s=returned_s)
    last = next(reversed(heard), None)
    everybody_silent = last is not None and is_silent(after, last, now_s, settings)
    if everybody_silent:
        return after if after.all_silent_since_s is not None else replace(after, all_silent_since_s=now_s)
    if after.all_silent_since_s is not None:
        return replace(after, all_silent_since_s=None, calm_since_s=now_s)
    return after


def forgiven(health: Health, now_s: float) -> Health:
    """After we have been away: everybody was heard just now."""
    heard = {node: Heard(renewal=before.renewal, at_s=now_s) for node, before in health.heard.items()}
    return Health(heard=heard, all_silent_since_s=None, calm_since_s=now_s, awaited=frozenset(heard), returned_s=now_s)


def is_silent(health: Health, node: str, now_s: float, settings: HealthSettings) -> bool:
    heard = health.heard.get(node)
    if heard is None:
        return False
    patient_until_s = min(health.returned_s, health.calm_since_s + settings.all_silent_hold_s)
    return now_s - max(heard.at_s, patient_until_s) > settings.grace_s


def silent(health: Health, now_s: float, settings: HealthSettings) -> dict[str, None]:
    """All nodes that are, in the order in which they were heard last; of the others no more than one is looked at."""
    found: dict[str, None] = {}
    for node in health.heard:
        if not is_silent(health, node, now_s, settings):
            break
        found[node] = None
    return found


def may_evict(health: Health, now_s: float, settings: HealthSettings) -> bool:
    """False while silence is more likely ours than the nodes'."""
    since_s = health.all_silent_since_s
    return since_s is None or now_s - since_s >= settings.all_silent_hold_s
