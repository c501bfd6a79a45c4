"""The cluster as the scheduler sees it: one numpy column per property, one row per node.

A row is taken when a node appears and given back when it goes. Columns change in place, a pod or a node at a time, so
that a decision over all nodes is a handful of vector operations. Numbers are int64 and exact: a node is never
over-committed by rounding.

Counts of pods that match a selector (for spreading, affinity, ports) are made on first use and then kept up to date
with every pod that may concern them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from knarr_api.types.core_v1 import Node, Pod, Taint
from knarr_controlplane.scheduler import affinity, requests
from knarr_controlplane.scheduler.affinity import Term
from knarr_controlplane.scheduler.records import EVERYWHERE, CountKey, PodRecord, Records, counted, scopes

IntColumn = NDArray[np.int64]
Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]
Rows = NDArray[np.intp]

MAX_COUNTS = 2048
FIRST_ROWS, FIRST_RESOURCES = 16, 8
PER_ROW = ("present", "unschedulable", "allocatable", "requested", "nonzero", "taint_set")


@dataclass(slots=True)
class Count:
    matches: Callable[[PodRecord], bool]
    column: IntColumn


@dataclass(frozen=True, slots=True)
class ImageState:
    """An image that nodes have: its size in bytes and on which rows it is."""

    size: int
    rows: set[int]


class Columns:
    """All columns. Not safe for use by several threads."""

    def __init__(self) -> None:
        self.changes = 0
        """Counts what may change a decision."""
        self.records = Records()
        self.rows: dict[str, int] = {}
        self.names: list[str] = [""] * FIRST_ROWS
        self.resources: dict[str, int] = {requests.CPU: 0, requests.MEMORY: 1, requests.PODS: 2}
        self.present: Mask = np.zeros(FIRST_ROWS, dtype=np.bool_)
        self.unschedulable: Mask = np.zeros(FIRST_ROWS, dtype=np.bool_)
        self.allocatable: IntColumn = np.zeros((FIRST_ROWS, FIRST_RESOURCES), dtype=np.int64)
        self.requested: IntColumn = np.zeros((FIRST_ROWS, FIRST_RESOURCES), dtype=np.int64)
        self.nonzero: IntColumn = np.zeros((FIRST_ROWS, 2), dtype=np.int64)
        self.taint_set: IntColumn = np.zeros(FIRST_ROWS, dtype=np.int64)
        self.taint_sets: list[tuple[Taint, ...]] = [()]
        self.labels: list[Mapping[str, str]] = [{}] * FIRST_ROWS
        self.pods: dict[tuple[str, str], PodRecord] = {}
        self.namespaces: dict[str, Mapping[str, str]] = {}
        self.images: dict[str, ImageState] = {}
        self.apart: dict[Term, IntColumn] = {}
        """Per row, how many pods must be kept apart from those the term matches."""
        self.near: dict[Term, IntColumn] = {}
        """Per row, how many pods must be near those the term matches."""
        self.soft: dict[Term, IntColumn] = {}
        """Per row, the sum of the weights with which pods want to be near those the term matches."""
        self._on_row: list[dict[tuple[str, str], PodRecord]] = [{} for _ in range(FIRST_ROWS)]
        self._by_priority: dict[int, IntColumn] = {}
        self._images_on_row: dict[int, frozenset[str]] = {}
        self._free: list[int] = list(range(FIRST_ROWS - 1, -1, -1))
        self._pods_of_unknown: dict[str, set[tuple[str, str]]] = {}
        self._counts: dict[CountKey, Count] = {}
        self._counts_of: dict[tuple[str, str], dict[CountKey, Count]] = {}
        self._domains: dict[str, tuple[IntColumn, int]] = {}
        self._label_masks: dict[tuple[str, ...], Mask] = {}

    @property
    def capacity(self) -> int:
        """Rows there are room for; every column has this length."""
        return len(self.names)

    def only(self, row: int) -> Columns:
        """One node's, as long as they are not changed: for who looks at each node by itself."""
        view = copy.copy(self)
        view.names = [self.names[row]]
        for name in PER_ROW:
            setattr(view, name, getattr(self, name)[row : row + 1])
        return view

    def set_node(self, node: Node) -> None:
        """Add a node or take over what has changed of it."""
        self.changes += 1
        name = node.metadata.name
        row = self.rows.get(name)
        if row is None:
            if not self._free:
                self._grow_rows()
            row = self._free.pop()
            self.rows[name] = row
            self.names[row] = name
            self.present[row] = True
            self.labels[row] = {}
            self._forget_label_masks()
            for key in self._pods_of_unknown.pop(name, set()):
                record = self.pods.pop(key)
                self._add(record, row)
        self.unschedulable[row] = bool(node.spec.unschedulable)
        self.taint_set[row] = self._taint_set(node.spec.taints)
        self.allocatable[row] = 0
        for resource, quantity in (node.status.allocatable or node.status.capacity).items():
            column = self.resource(resource)
            self.allocatable[row, column] = requests.amount(resource, quantity)
        if dict(self.labels[row]) != node.metadata.labels:
            self.labels[row] = node.metadata.labels
            self._forget_label_masks()
        self._set_images(row, {name: image.size_bytes or 0 for image in node.status.images for name in image.names})

    def remove_node(self, name: str) -> None:
        """Give a node's row back. Its pods are remembered in case it returns."""
        row = self.rows.pop(name, None)
        if row is None:
            return
        self.changes += 1
        for key, record in tuple(self._on_row[row].items()):
            self._subtract(record)
            self._park(key, record)
        self._set_images(row, {})
        self.names[row] = ""
        self.present[row] = False
        self.allocatable[row] = 0
        self.labels[row] = {}
        self._free.append(row)
        self._forget_label_masks()

    def add_pod(self, pod: Pod, node: str) -> None:
        """Count a pod on a node, also before the API knows of it (an assumption). Again for the same pod: replaced."""
        self.put_back(self.records.of(pod, node))

    def shows(self, pod: Pod) -> bool:
        """Whether a pod is counted as it is now, where it is now; what it asks for can't have changed meanwhile."""
        metadata = pod.metadata
        record = self.pods.get((metadata.namespace, metadata.name))
        return (
            record is not None
            and (record.uid, record.node) == (metadata.uid, pod.spec.node_name)
            and record.labels == metadata.labels
            and record.terminating == (metadata.deletion_timestamp is not None)
        )

    def put_back(self, record: PodRecord) -> None:
        """Count a pod that was counted before."""
        self.remove_pod(record.namespace, record.name)
        row = self.rows.get(record.node)
        if row is None:
            self._park(record.key, record)
        else:
            self._add(record, row)

    def remove_pod(self, namespace: str, name: str) -> str:
        """Stop counting a pod; says on which node it was counted, empty for none."""
        record = self.pods.pop((namespace, name), None)
        if record is None:
            return ""
        if record.row < 0:
            self._pods_of_unknown.get(record.node, set()).discard((namespace, name))
        else:
            self._subtract(record)
        return record.node

    def on_row(self, row: int) -> tuple[PodRecord, ...]:
        """The pods counted there."""
        return tuple(self._on_row[row].values())

    def below(self, priority: int) -> tuple[IntColumn, Mask]:
        """What pods of less priority ask for, as ``requested``; and the rows where there are such pods."""
        total = np.zeros_like(self.requested)
        for each, column in self._by_priority.items():
            if each < priority:
                total[:, : column.shape[1]] += column
        return total, total[:, self.resources[requests.PODS]] > 0

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> bool:
        """Its labels, None when it is gone; says whether that changed anything."""
        if self.namespaces.get(name) == labels:
            return False
        self.changes += 1
        if labels is None:
            del self.namespaces[name]
        else:
            self.namespaces[name] = labels
        for key in self._counts_of.pop(EVERYWHERE, {}):
            del self._counts[key]
        return True

    def resource(self, name: str) -> int:
        """Column of a resource; a new one is given a column of its own."""
        column = self.resources.get(name)
        if column is None:
            column = self.resources[name] = len(self.resources)
            if column == self.allocatable.shape[1]:
                self.allocatable = np.hstack((self.allocatable, np.zeros_like(self.allocatable)))
                self.requested = np.hstack((self.requested, np.zeros_like(self.requested)))
        return column

    def counts(self, key: CountKey, matches: Callable[[PodRecord], bool]) -> IntColumn:
        """Per row, how many pods in ``key.scope`` match. Valid until a pod or node changes."""
        found = self._counts.get(key)
        if found is None:
            if len(self._counts) >= MAX_COUNTS:
                self._counts.clear()
                self._counts_of.clear()
            found = Count(matches, np.zeros(self.capacity, dtype=np.int64))
            for record in self.pods.values():
                if record.row >= 0 and key.scope in scopes(record) and counted(key, matches, record):
                    found.column[record.row] += 1
            self._counts[key] = self._counts_of.setdefault(key.scope, {})[key] = found
        return found.column

    def domains(self, topology_key: str) -> tuple[IntColumn, int]:
        """Per row the number of its domain, -1 where the node lacks the label; and how many domains there are."""
        found = self._domains.get(topology_key)
        if found is None:
            numbers: dict[str, int] = {}
            column = np.full(self.capacity, -1, dtype=np.int64)
            for row in self.rows.values():
                value = self.labels[row].get(topology_key)
                if value is not None:
                    column[row] = numbers.setdefault(value, len(numbers))
            found = self._domains[topology_key] = (column, len(numbers))
        return found

    def label_mask(self, key: tuple[str, ...], matches: Callable[[str, Mapping[str, str]], bool]) -> Mask:
        """Per row whether ``matches(node name, labels)``; remembered under ``key`` until a label or node changes."""
        mask = self._label_masks.get(key)
        if mask is None:
            mask = np.zeros(self.capacity, dtype=np.bool_)
            for name, row in self.rows.items():
                mask[row] = matches(name, self.labels[row])
            if len(self._label_masks) >= MAX_COUNTS:
                self._label_masks.clear()
            self._label_masks[key] = mask
        return mask

    def _add(self, record: PodRecord, row: int) -> None:
        if record.row != row:
            record = msgspec.structs.replace(record, row=row)
        self.pods[record.key] = self._on_row[row][record.key] = record
        self._count(record, 1)

    def _subtract(self, record: PodRecord) -> None:
        del self._on_row[record.row][record.key]
        self._count(record, -1)

    def _count(self, record: PodRecord, step: int) -> None:
        self.changes += 1
        row = record.row
        for resource, number in record.requests.items():
            column = self.resource(resource)
            self.requested[row, column] += step * number
        ranked = self._by_priority.get(record.priority)
        if ranked is None or ranked.shape != self.requested.shape:
            ranked = self._ranked(record.priority)
        for resource, number in record.requests.items():
            ranked[row, self.resources[resource]] += step * number
        cpu, memory = record.nonzero
        self.nonzero[row, 0] += step * cpu
        self.nonzero[row, 1] += step * memory
        for scope in scopes(record):
            for key, count in self._counts_of.get(scope, {}).items():
                if counted(key, count.matches, record):
                    count.column[row] += step
        if record.wishes is not affinity.NO_WISHES:
            self._count_wishes(record, step)

    def _ranked(self, priority: int) -> IntColumn:
        """The column of what pods of a priority ask for, as large as ``requested`` is now."""
        column = np.zeros_like(self.requested)
        before = self._by_priority.get(priority)
        if before is not None:
            column[: before.shape[0], : before.shape[1]] = before
        self._by_priority[priority] = column
        return column

    def _count_wishes(self, record: PodRecord, step: int) -> None:
        wishes = record.wishes
        wished = [
            *((self.apart, term, 1) for term in wishes.apart),
            *((self.near, term, 1) for term in wishes.near),
            *((self.soft, weighted.term, weighted.weight) for weighted in wishes.soft),
        ]
        for terms, term, weight in wished:
            if term not in terms:
                terms[term] = np.zeros(self.capacity, dtype=np.int64)
            terms[term][record.row] += step * weight
        for terms, term, _ in wished if step < 0 else ():
            if term in terms and not terms[term].any():
                del terms[term]

    def _set_images(self, row: int, sizes: Mapping[str, int]) -> None:
        names = frozenset(sizes)
        before = self._images_on_row.get(row, frozenset())
        if names == before:
            return
        for name in before - names:
            self.images[name].rows.discard(row)
            if not self.images[name].rows:
                del self.images[name]
        for name in names - before:
            self.images.setdefault(name, ImageState(sizes[name], set())).rows.add(row)
        self._images_on_row[row] = names

    def _park(self, key: tuple[str, str], record: PodRecord) -> None:
        self.pods[key] = msgspec.structs.replace(record, row=-1)
        self._pods_of_unknown.setdefault(record.node, set()).add(key)

    def _taint_set(self, taints: tuple[Taint, ...]) -> int:
        """Few sets of taints exist however many nodes there are: each is evaluated once per pod."""
        bare = tuple(Taint(key=taint.key, value=taint.value, effect=taint.effect) for taint in taints)
        try:
            return self.taint_sets.index(bare)
        except ValueError:
            self.taint_sets.append(bare)
            return len(self.taint_sets) - 1

    def _forget_label_masks(self) -> None:
        self._label_masks.clear()
        self._domains.clear()

    def _grow_rows(self) -> None:
        old, new = self.capacity, self.capacity * 2
        self.names += [""] * old
        self.labels += [{}] * old
        self._free.extend(range(new - 1, old - 1, -1))
        for name in PER_ROW:
            column = getattr(self, name)
            setattr(self, name, np.concatenate((column, np.zeros_like(column))))
        for count in self._counts.values():
            count.column = np.concatenate((count.column, np.zeros_like(count.column)))
        for terms in (self.apart, self.near, self.soft):
            for term, column in terms.items():
                terms[term] = np.concatenate((column, np.zeros_like(column)))
        for priority in self._by_priority:
            self._ranked(priority)
        self._on_row += [{} for _ in range(old)]
        self._forget_label_masks()


def per_domain(column: IntColumn, domains: IntColumn, number_of_domains: int) -> IntColumn:
    """Per row, the sum of ``column`` over the row's whole domain; 0 for rows without one."""
    sums = np.bincount(domains + 1, weights=column, minlength=number_of_domains + 1).astype(np.int64)
    sums[0] = 0
    total: IntColumn = sums[domains + 1]
    return total
