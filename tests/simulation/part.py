"""What a control plane's machine and a node have in common: one program that is started on it again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from knarr_client.virtual_time import VirtualClock
from tests.simulation.loop import Process

if TYPE_CHECKING:
    from tests.simulation.cluster import Cluster


class Part:
    """``start`` begins another life of its program, ``_run``, unless it lives. The clock is the machine's."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.name = name
        self.clock = VirtualClock()
        self.process: Process | None = None
        self._cluster = cluster
        self._lives = 0

    @property
    def lives(self) -> bool:
        return self.process is not None and self.process.alive

    def start(self) -> None:
        if self.lives:
            return
        self._lives += 1
        self.process = Process(f"{self.name}.{self._lives}", self.clock, self._cluster.failed)
        self.process.spawn(self._run(self.process), "main", vital=True)

    def stand_still(self) -> None:
        if self.process is not None:
            self.process.stand_still()

    def go_on(self) -> None:
        if self.process is not None:
            self.process.go_on()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    async def _run(self, process: Process) -> None:
        """Until it is killed."""
        raise NotImplementedError
