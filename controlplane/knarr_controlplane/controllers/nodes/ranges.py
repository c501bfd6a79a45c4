"""Which address range the next node gets. Pure."""

from __future__ import annotations

import ipaddress
from collections import Counter


class Ranges:
    """The ranges of one length inside ``cluster`` (IPv4 or IPv6, as in ``10.244.0.0/16``), and which of them are taken.

    Ranges of other lengths take those that they overlap. What is taken twice must be given back twice.
    """

    def __init__(self, cluster: str, prefix_length: int) -> None:
        self._whole = ipaddress.ip_network(cluster)
        self._prefix_length = prefix_length
        self._step = 1 << (self._whole.max_prefixlen - prefix_length)
        self._count = 1 << (prefix_length - self._whole.prefixlen)
        self._taken: Counter[int] = Counter()
        self._free_from = 0
        """All below are taken."""

    def take(self, text: str) -> None:
        for index in self._covered(text):
            self._taken[index] += 1

    def give_back(self, text: str) -> None:
        for index in self._covered(text):
            self._taken[index] -= 1
            if self._taken[index] <= 0:
                del self._taken[index]
                self._free_from = min(self._free_from, index)

    def first_free(self) -> str | None:
        """The lowest range that overlaps none that is taken; None when all are."""
        while self._free_from in self._taken:
            self._free_from += 1
        if self._free_from >= self._count:
            return None
        address = self._whole.network_address + self._free_from * self._step
        return f"{address}/{self._prefix_length}"

    def _covered(self, text: str) -> range:
        network = ipaddress.ip_network(text, strict=False)
        first, last = int(self._whole.network_address), int(self._whole.broadcast_address)
        low = max(first, int(network.network_address))
        high = min(last, int(network.broadcast_address))
        if network.version != self._whole.version or low > high:
            return range(0)
        return range((low - first) // self._step, (high - first) // self._step + 1)
