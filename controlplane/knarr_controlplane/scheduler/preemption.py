"""Which pods of less importance should make room for one that fits nowhere. Pure but for the columns, which are put
back as they were.

For each node that could be freed, everything of less priority is taken away; if the pod fits then, what can stay is put
back, the most important first and what a disruption budget protects before the rest. Of the nodes, the one that costs
least: fewest budgets broken, least important most important victim, least sum, fewest, latest started. Source:
Kubernetes "Pod Priority and Preemption".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from knarr_api.labels import Selector
from knarr_controlplane.scheduler.columns import Columns, Mask
from knarr_controlplane.scheduler.framework import Plugin, PodToPlace, Unschedulable, told
from knarr_controlplane.scheduler.records import PodRecord
from knarr_controlplane.scheduler.requests import insufficient

MAX_CANDIDATES = 100
NOT_HELPFUL = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"
PRIORITY_OFFSET = 1 << 31
"""Makes every priority count as positive, so that fewer victims are less."""


@dataclass(frozen=True, slots=True)
class Budget:
    """A PodDisruptionBudget: how many of its pods may go at the moment."""

    namespace: str
    selector: Selector
    allowed: int

    def protects(self, record: PodRecord) -> bool:
        return self.namespace == record.namespace and self.selector.matches(record.labels)


@dataclass(frozen=True, slots=True)
class Preemption:
    node: str
    victims: tuple[PodRecord, ...]
    violations: int

    @property
    def cost(self) -> tuple[int, int, int, int, float]:
        """Less is better."""
        highest = max(victim.priority for victim in self.victims)
        earliest = min(victim.started_s for victim in self.victims if victim.priority == highest)
        total = sum(victim.priority + PRIORITY_OFFSET for victim in self.victims)
        return (self.violations, highest, total, len(self.victims), -earliest)


@dataclass(frozen=True, slots=True)
class NoRoom:
    """Nobody is asked to go. why: as it stands behind "preemption:" in what is said of the pod."""

    why: str


NEVER = NoRoom("not eligible due to preemptionPolicy=Never.")
WAITING = NoRoom("not eligible due to a terminating pod on the nominated node.")


def find(
    pod: PodToPlace,
    columns: Columns,
    plugins: Sequence[Plugin],
    budgets: Sequence[Budget],
    *,
    refused: Unschedulable,
    tie_break: int,
) -> Preemption | NoRoom:
    """The best; of at most MAX_CANDIDATES nodes, from the tie_break-th on. refused: what was decided with all pods."""
    reasons: Counter[str] = Counter()
    perhaps = refused.perhaps & columns.present
    if hopeless := refused.nodes - int(perhaps.sum()):
        reasons[NOT_HELPFUL] = hopeless
    rows = np.flatnonzero(_with_enough(pod, columns, perhaps, reasons))
    found: list[Preemption] = []
    start = tie_break % len(rows) if len(rows) else 0
    for row in (*rows[start:], *rows[:start]):
        room = _on_row(int(row), pod, columns, plugins, budgets)
        if isinstance(room, Preemption):
            found.append(room)
            if len(found) == MAX_CANDIDATES:
                break
        else:
            reasons.update(room)
    return min(found, key=lambda one: one.cost) if found else NoRoom(told(refused.nodes, reasons))


def _with_enough(pod: PodToPlace, columns: Columns, perhaps: Mask, reasons: Counter[str]) -> Mask:
    """Rows that would have what the pod asks for if all less important pods went; reasons: why others would not."""
    held, some = columns.below(pod.pod.spec.priority or 0)
    if alone := int((perhaps & ~some).sum()):
        reasons[NO_VICTIMS] = alone
    considered = perhaps & some
    rows = considered.copy()
    for resource, number in pod.requests.items():
        column = columns.resource(resource)
        free = columns.allocatable[:, column] - columns.requested[:, column]
        freed = held[:, column] if column < held.shape[1] else 0
        short = considered & (free + freed < number)
        if short.any():
            reasons[insufficient(resource)] += int(short.sum())
            rows &= ~short
    return rows


def _on_row(
    row: int, pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin], budgets: Sequence[Budget]
) -> Preemption | tuple[str, ...]:
    """Who should go there; or why the pod would not fit even if all went that may."""
    priority = pod.pod.spec.priority or 0
    lesser = sorted(
        (record for record in columns.on_row(row) if record.priority < priority),
        key=lambda record: (-record.priority, record.started_s),
    )
    away = {record.key: record for record in lesser}
    for record in lesser:
        columns.remove_pod(record.namespace, record.name)
    try:
        if against := _against(row, pod, columns, plugins):
            return against
        protected, free = _by_budget(lesser, budgets)
        violations = 0
        for record in (*protected, *free):
            columns.put_back(record)
            if not _against(row, pod, columns, plugins):
                del away[record.key]
                continue
            columns.remove_pod(record.namespace, record.name)
            violations += record in protected
        victims = tuple(record for record in lesser if record.key in away)
        return Preemption(columns.names[row], victims, violations) if victims else (NO_VICTIMS,)
    finally:
        for record in away.values():
            columns.put_back(record)


def _against(row: int, pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin]) -> tuple[str, ...]:
    """Why the pod can't go there: what the first plugin says that refuses it."""
    for plugin in plugins:
        if reasons := tuple(refusal.reason for refusal in plugin.filter(pod, columns) if refusal.rows[row]):
            return reasons
    return ()


def _by_budget(
    records: Sequence[PodRecord], budgets: Sequence[Budget]
) -> tuple[tuple[PodRecord, ...], tuple[PodRecord, ...]]:
    """Those whose going would break a budget, counting those before them, and the others."""
    left = [budget.allowed for budget in budgets]
    protected: list[PodRecord] = []
    free: list[PodRecord] = []
    for record in records:
        broken = False
        for number, budget in enumerate(budgets):
            if not record.terminating and budget.protects(record):
                left[number] -= 1
                broken |= left[number] < 0
        (protected if broken else free).append(record)
    return tuple(protected), tuple(free)
