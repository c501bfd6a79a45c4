"""What all events of a plan have, and what they know of the cluster."""

from __future__ import annotations

from dataclasses import dataclass

WARM_UP_S = 8.0
"""Until then nothing breaks: the nodes register."""
CPU_M, MEMORY_MI, PODS = 4000, 8192, 40
"""Of each node."""
STALE_S = 15.0
"""How old what a control plane acts upon may be, at most, with the delays that plans ask for."""
WORK_S = 3.0
"""How long the containers ``first`` and ``work`` run."""
IMAGES = ("busybox", "web:1", "web:2", "web:3")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """at_s: virtual seconds since the start."""

    at_s: float
