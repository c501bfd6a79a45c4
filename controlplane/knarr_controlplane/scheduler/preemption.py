"""Which pods of less importance should make room for one that fits nowhere. Pure but for the columns, which are put
back as they were.

For each node that could be freed, everything of less priority is taken away; if the pod fits then, what can stay is put
back, the most important first and what a disruption budget protects before the rest. Of the nodes, the one that costs
least: fewest budgets broken, least important most important victim, least sum, fewest, latest started. Source:
Kubernetes "Pod Priority and Preemption".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from knarr_api.labels import Selector
from knarr_controlplane.scheduler.columns import Columns, Mask, PodRecord
from knarr_controlplane.scheduler.framework import Plugin, PodToPlace

MAX_CANDIDATES = 100
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


def find(
    pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin], budgets: Sequence[Budget], *, tie_break: int
) -> Preemption | None:
    """The best; None where no one's going would help. MAX_CANDIDATES nodes are compared, from the tie_break-th on."""
    rows = np.flatnonzero(_candidates(pod, columns, plugins))
    if not len(rows):
        return None
    start = tie_break % len(rows)
    found: list[Preemption] = []
    for row in (*rows[start:], *rows[:start]):
        preemption = _on_row(int(row), pod, columns, plugins, budgets)
        if preemption is not None:
            found.append(preemption)
            if len(found) == MAX_CANDIDATES:
                break
    return min(found, key=lambda one: one.cost, default=None)


def _candidates(pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin]) -> Mask:
    """Rows where nothing stands against the pod that could not go, as far as is seen at once."""
    held, some = columns.below(pod.pod.spec.priority or 0)
    rows = columns.present & some
    for plugin in plugins:
        if not rows.any():
            return rows
        for refusal in plugin.filter(pod, columns):
            if not refusal.resolvable:
                rows = rows & ~refusal.rows
    for resource, number in pod.requests.items():
        column = columns.resource(resource)
        free = columns.allocatable[:, column] - columns.requested[:, column]
        freed = held[:, column] if column < held.shape[1] else 0
        rows = rows & (free + freed >= number)
    return rows


def _on_row(
    row: int, pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin], budgets: Sequence[Budget]
) -> Preemption | None:
    priority = pod.pod.spec.priority or 0
    lesser = sorted(
        (record for record in columns.on_row(row) if record.priority < priority),
        key=lambda record: (-record.priority, record.started_s),
    )
    away = {record.key: record for record in lesser}
    for record in lesser:
        columns.remove_pod(record.namespace, record.name)
    try:
        if not _fits(row, pod, columns, plugins):
            return None
        protected, free = _by_budget(lesser, budgets)
        violations = 0
        for record in (*protected, *free):
            columns.put_back(record)
            if _fits(row, pod, columns, plugins):
                del away[record.key]
                continue
            columns.remove_pod(record.namespace, record.name)
            violations += record in protected
        victims = tuple(record for record in lesser if record.key in away)
        return Preemption(columns.names[row], victims, violations) if victims else None
    finally:
        for record in away.values():
            columns.put_back(record)


def _fits(row: int, pod: PodToPlace, columns: Columns, plugins: Sequence[Plugin]) -> bool:
    return not any(refusal.rows[row] for plugin in plugins for refusal in plugin.filter(pod, columns))


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
