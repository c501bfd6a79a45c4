"""Taints keep pods out that don't tolerate them (NoSchedule, NoExecute) or make their nodes less liked."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from knarr_controlplane.scheduler.columns import Columns, Mask, Scores
from knarr_controlplane.scheduler.framework import MAX_SCORE, ClusterEvent, PodToPlace, Reach, Refusal
from knarr_controlplane.scheduler.tolerations import first_untolerated, to_avoid

ORDER = 10


class TaintToleration:
    name = "TaintToleration"
    weight = 3.0
    by_node = True
    wakes_on = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_TAINTS

    def reach(self, pod: PodToPlace, columns: Columns) -> Reach:
        return Reach.NOTHING

    def filter(self, pod: PodToPlace, columns: Columns) -> Iterator[Refusal]:
        for number, taints in enumerate(columns.taint_sets):
            taint = first_untolerated(taints, pod.pod.spec.tolerations) if taints else None
            if taint is not None:
                reason = f"node(s) had untolerated taint {{{taint.key}: {taint.value}}}"
                yield Refusal(reason, columns.taint_set == number, resolvable=False)

    def score(self, pod: PodToPlace, columns: Columns, feasible: Mask) -> Scores | None:
        per_set = np.array([to_avoid(taints, pod.pod.spec.tolerations) for taints in columns.taint_sets], dtype=float)
        disliked = per_set[columns.taint_set]
        most = disliked[feasible].max(initial=0.0)
        if not most:
            return None
        scores: Scores = MAX_SCORE * (1.0 - disliked / most)
        return scores


PLUGIN = TaintToleration()
