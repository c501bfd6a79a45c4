"""Which pod has which address. One file per address below ``ROOT/addresses``, holding the sandbox' id.

Making the file is what takes the address, so it is never given twice, also across a crash. The network's first two
addresses are the overlay's and the bridge's.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable
from pathlib import Path

from knarr_runtime.errors import Unavailable

RESERVED = 2


class Addresses:
    """Addresses of one network."""

    def __init__(self, directory: Path, network: ipaddress.IPv4Network) -> None:
        self._directory = directory
        self.network = network
        self._next = RESERVED
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._holders = {path.name: path.read_text() for path in directory.iterdir()}

    @property
    def gateway(self) -> str:
        return str(self.network[1])

    def take(self, sandbox_id: str) -> str:
        """A free address, round and round so that one is not used again at once. Raises Unavailable when none is."""
        count = self.network.num_addresses
        for step in range(count):
            number = (self._next + step) % count
            address = str(self.network[number])
            if number < RESERVED or number == count - 1 or address in self._holders:
                continue
            descriptor = os.open(self._directory / address, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self._holders[address] = sandbox_id
            try:
                os.write(descriptor, sandbox_id.encode())
            finally:
                os.close(descriptor)
            self._next = number + 1
            return address
        raise Unavailable(f"all addresses of {self.network} are in use")

    def address_of(self, sandbox_id: str) -> str | None:
        return next((address for address, holder in self._holders.items() if holder == sandbox_id), None)

    def release(self, sandbox_id: str) -> None:
        """Give back what a sandbox has."""
        self._forget(lambda holder: holder == sandbox_id)

    def keep_only(self, sandbox_ids: set[str]) -> None:
        """After a restart: what belongs to no sandbox is free."""
        self._forget(lambda holder: holder not in sandbox_ids)

    def _forget(self, condition: Callable[[str], bool]) -> None:
        for address in [address for address, holder in self._holders.items() if condition(holder)]:
            (self._directory / address).unlink(missing_ok=True)
            del self._holders[address]
