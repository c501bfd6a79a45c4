"""The cluster as the scheduler sees it: one numpy column per property, one row per node.

A row is taken when a node appears and given back when it goes. Columns change in place, a pod or a node at a time, so
that a decision over all nodes is a handful of vector operations. Numbers are int64 and exact: a node is never
over-committed by rounding.

Counts of pods that match a selector (for spreading) are made on first use and then kept up to date with every pod.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from knarr_api.types.core_v1 import Node, Pod, Taint
from knarr_controlplane.scheduler import requests

IntColumn = NDArray[np.int64]
Mask = NDArray[np.bool_]
Scores = NDArray[np.float64]

MAX_COUNTS = 2048
FIRST_ROWS, FIRST_RESOURCES = 16, 8


@dataclass(frozen=True, slots=True)
class PodRecord:
    """What must be known of a placed pod. ``row`` is its node's, -1 while that node is not known."""

    namespace: str
    name: str
    uid: str
    node: str
    row: int
    labels: Mapping[str, str]
    owner_uid: str
    terminating: bool
    requests: Mapping[str, int]
    nonzero: tuple[int, int]


@dataclass(frozen=True, slots=True)
class CountKey:
    """Names a column of counts: pods of a namespace that a predicate, identified by its text, holds for."""

    namespace: str
    text: str


class Columns:
    """All columns. Not safe for use by several threads."""

    def __init__(self) -> None:
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
        self._free: list[int] = list(range(FIRST_ROWS - 1, -1, -1))
        self._pods_of_unknown: dict[str, set[tuple[str, str]]] = {}
        self._counts: dict[CountKey, tuple[Callable[[PodRecord], bool], IntColumn]] = {}
        self._domains: dict[str, tuple[IntColumn, int]] = {}
        self._label_masks: dict[tuple[str, ...], Mask] = {}

    @property
    def capacity(self) -> int:
        """Rows there are room for; every column has this length."""
        return len(self.names)

    def set_node(self, node: Node) -> None:
        """Add a node or take over what has changed of it."""
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

    def remove_node(self, name: str) -> None:
        """Give a node's row back. Its pods are remembered in case it returns."""
        row = self.rows.pop(name, None)
        if row is None:
            return
        for key, record in [(key, record) for key, record in self.pods.items() if record.row == row]:
            self._subtract(record)
            self._park(key, record)
        self.names[row] = ""
        self.present[row] = False
        self.allocatable[row] = 0
        self.labels[row] = {}
        self._free.append(row)
        self._forget_label_masks()

    def add_pod(self, pod: Pod, node: str) -> None:
        """Count a pod on a node, also before the API knows of it (an assumption). Again for the same pod: replaced."""
        metadata = pod.metadata
        key = (metadata.namespace, metadata.name)
        self.remove_pod(*key)
        owner = next((owner.uid for owner in metadata.owner_references if owner.controller), "")
        record = PodRecord(
            namespace=metadata.namespace,
            name=metadata.name,
            uid=metadata.uid,
            node=node,
            row=-1,
            labels=metadata.labels,
            owner_uid=owner,
            terminating=metadata.deletion_timestamp is not None,
            requests=requests.of_pod(pod),
            nonzero=requests.nonzero_of_pod(pod),
        )
        row = self.rows.get(node)
        if row is None:
            self._park(key, record)
        else:
            self._add(record, row)

    def remove_pod(self, namespace: str, name: str) -> bool:
        """Stop counting a pod; says whether it was counted."""
        record = self.pods.pop((namespace, name), None)
        if record is None:
            return False
        if record.row < 0:
            self._pods_of_unknown.get(record.node, set()).discard((namespace, name))
        else:
            self._subtract(record)
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
        """Per row, how many pods of ``key.namespace`` match. Terminating pods don't count."""
        found = self._counts.get(key)
        if found is None:
            if len(self._counts) >= MAX_COUNTS:
                self._counts.clear()
            column = np.zeros(self.capacity, dtype=np.int64)
            for record in self.pods.values():
                if record.row >= 0 and _counted(key, matches, record):
                    column[record.row] += 1
            found = self._counts[key] = (matches, column)
        return found[1]

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
        record = dataclasses.replace(record, row=row)
        self.pods[(record.namespace, record.name)] = record
        for resource, number in record.requests.items():
            column = self.resource(resource)
            self.requested[row, column] += number
        self.nonzero[row] += record.nonzero
        self._count(record, 1)

    def _subtract(self, record: PodRecord) -> None:
        for resource, number in record.requests.items():
            self.requested[record.row, self.resource(resource)] -= number
        self.nonzero[record.row] -= record.nonzero
        self._count(record, -1)

    def _count(self, record: PodRecord, step: int) -> None:
        for key, (matches, column) in self._counts.items():
            if _counted(key, matches, record):
                column[record.row] += step

    def _park(self, key: tuple[str, str], record: PodRecord) -> None:
        self.pods[key] = dataclasses.replace(record, row=-1)
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
        for name in ("present", "unschedulable", "allocatable", "requested", "nonzero", "taint_set"):
            column = getattr(self, name)
            setattr(self, name, np.concatenate((column, np.zeros_like(column))))
        self._counts = {
            key: (matches, np.concatenate((column, np.zeros_like(column))))
            for key, (matches, column) in self._counts.items()
        }
        self._forget_label_masks()


def _counted(key: CountKey, matches: Callable[[PodRecord], bool], record: PodRecord) -> bool:
    return record.namespace == key.namespace and not record.terminating and matches(record)
