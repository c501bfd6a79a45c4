"""Which pods to remove because nobody else will. Pure.

===================  ==============================================================================
what                 why nobody else does
===================  ==============================================================================
orphaned             its node's object is gone for ``quarantine_s``: no agent will report its end
terminating, no node it was never on a node, so no agent knows of it
out of service       being deleted, on a node that its admin declared dead with the taint
                     node.kubernetes.io/out-of-service
ended, too many      the oldest of more than ``ended_max`` pods that have ended, those that were evicted first
===================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from knarr_api.types.core_v1 import Pod
from knarr_controlplane.controllers.pods import state


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    pod: Pod
    reason: str
    check_node: str = ""
    """Remove only when a live read says that this node does not exist."""


def removals(
    pods: Sequence[Pod],
    *,
    nodes: Collection[str],
    missing_s: Mapping[str, float],
    out_of_service: Collection[str],
    quarantine_s: float,
    ended_max: int,
) -> tuple[Removal, ...]:
    """missing_s: for how long each node that pods name has not been among ``nodes``."""
    found: list[Removal] = []
    for pod in pods:
        node = pod.spec.node_name
        terminating = pod.metadata.deletion_timestamp is not None
        if not node:
            if terminating:
                found.append(Removal(pod=pod, reason="it was deleted before it had a node"))
        elif node not in nodes:
            if missing_s.get(node, 0.0) >= quarantine_s:
                found.append(Removal(pod=pod, reason=f'node "{node}" does not exist', check_node=node))
        elif terminating and node in out_of_service:
            found.append(Removal(pod=pod, reason=f'node "{node}" is out of service'))
    ended = [pod for pod in pods if state.is_ended(pod)]
    if len(ended) > ended_max:
        ended.sort(key=_age)
        found += [Removal(pod=pod, reason="it ended long ago") for pod in ended[: len(ended) - ended_max]]
    return tuple(found)


def _age(pod: Pod) -> tuple[bool, float, str]:
    created = pod.metadata.creation_timestamp
    at_s = created.timestamp() if created is not None else 0.0
    return pod.status.reason != "Evicted", at_s, pod.metadata.name
