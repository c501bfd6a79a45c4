"""Whether a pod may be assigned to a node. Pure."""

from __future__ import annotations

from knarr_api.errors import Conflict
from knarr_api.types.core_v1 import Pod


def check(pod: Pod, uid: str) -> None:
    """uid: of the pod that is meant, "" for whichever has the name. Raises Conflict."""
    name = pod.metadata.name
    if uid and uid != pod.metadata.uid:
        raise Conflict(f'pods "{name}": uid is {pod.metadata.uid}, not {uid}')
    if pod.spec.node_name:
        raise Conflict(f'pods "{name}" is already assigned to node "{pod.spec.node_name}"')
    if pod.metadata.deletion_timestamp is not None:
        raise Conflict(f'pods "{name}" is being deleted')
    if pod.spec.scheduling_gates:
        raise Conflict(f'pods "{name}" has non-empty .spec.schedulingGates')
