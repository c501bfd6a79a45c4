"""Which address range the next node gets. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable


def first_free(cluster: str, prefix_length: int, used: Iterable[str]) -> str | None:
    """The lowest range of the given length inside ``cluster`` that overlaps none of ``used``; None when all are taken.

    IPv4 or IPv6; ranges as in ``10.244.0.0/16``.
    """
    whole = ipaddress.ip_network(cluster)
    step = 1 << (whole.max_prefixlen - prefix_length)
    first, last = int(whole.network_address), int(whole.broadcast_address)
    taken: set[int] = set()
    for text in used:
        network = ipaddress.ip_network(text, strict=False)
        if network.version != whole.version:
            continue
        low = max(first, int(network.network_address))
        high = min(last, int(network.broadcast_address))
        taken.update(range((low - first) // step, (high - first) // step + 1) if low <= high else ())
    for index in range(1 << (prefix_length - whole.prefixlen)):
        if index not in taken:
            return f"{type(whole.network_address)(first + index * step)}/{prefix_length}"
    return None
