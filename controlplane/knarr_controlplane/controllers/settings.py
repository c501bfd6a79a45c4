"""What can be set about the controllers."""

from __future__ import annotations

from dataclasses import dataclass

NODE_PREFIX_LENGTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """Times are in seconds. Agents renew their Lease every 2 s; ``node_grace_s`` should be a few times that."""

    node_grace_s: float = 10.0
    """A node whose Lease has not been renewed for so long is unreachable. How long its pods stay then is their
    tolerations' matter (30 s by default, added at admission)."""
    node_look_s: float = 0.25
    """How often Leases are looked at (in memory)."""
    node_stall_s: float = 2.0
    """When the look comes later than this, the controller itself was away and nodes get their grace anew."""
    all_nodes_silent_hold_s: float = 120.0
    """When every node is silent at once, no pod is evicted before this time."""
    cluster_cidr: str = "10.244.0.0/16"
    node_prefix_length: int = NODE_PREFIX_LENGTH
    event_ttl_s: float = 3600.0
    event_scan_s: float = 300.0
    pod_collect_s: float = 5.0
    node_missing_quarantine_s: float = 5.0
    """Pods of a node whose object is gone are removed after this time."""
    ended_pods_max: int = 12_500
    ca_pem: str = ""
    """The cluster's CA, published in every namespace for its pods; empty: it is not."""
    workers: int = 4
    """How many objects of one kind are reconciled at once."""
