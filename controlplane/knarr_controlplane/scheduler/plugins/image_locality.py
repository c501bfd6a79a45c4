"""Prefers nodes that have the pod's images already: by their size, and by how many nodes have them.

Source: Kubernetes "Scheduling Plugins", ImageLocality: 23 MB count nothing, 1,000 MB a container count all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal

ORDER = 60
LEAST_BYTES, MOST_BYTES = 23 << 20, 1000 << 20


class ImageLocality:
    name = "ImageLocality"
    weight = 1.0
    by_node = True
    wakes_on = ClusterEvent(0)

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NOTHING

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        return iter(())

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        if not columns.images:
            return None
        containers = (*pod.pod.spec.init_containers, *pod.pod.spec.containers)
        total = np.zeros(columns.capacity)
        for container in containers:
            state = columns.images.get(_with_tag(container.image))
            if state is not None:
                rows = list(state.rows)
                total[rows] += state.size * len(rows) / len(columns.rows)
        most = MOST_BYTES * len(containers)
        scores: Scores = MAX_SCORE * np.clip((total - LEAST_BYTES) / (most - LEAST_BYTES), 0.0, 1.0)
        return scores if scores[feasible].any() else None


def _with_tag(name: str) -> str:
    return name if "@" in name or ":" in name.rpartition("/")[2] else f"{name}:latest"


PLUGIN = ImageLocality()
