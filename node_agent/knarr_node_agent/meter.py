"""What the agent's parts tell of their work to whoever measures; nobody does unless metrics are served."""

from __future__ import annotations

from typing import Any, Protocol

from knarr_api.types.core_v1 import PodStatus
from knarr_client.clock import Clock
from knarr_client.workqueue import QueueMetrics
from knarr_node_agent.podmachine.world import World


class Meter(Protocol):
    """Told what goes on; must be quick and must not raise. Times are in seconds."""

    @property
    def queue(self) -> QueueMetrics | None:
        """Of the pods' queue."""
        ...

    def runtime(self, service: Any) -> Any:
        """A CRI service (its stub), or one around it whose calls are measured."""
        ...

    def pod_started(self, total_s: float, sli_s: float) -> None:
        """All containers of a pod run: since its creation; less pulls and init containers."""
        ...

    def pod_worked_on(self, what: str, duration_s: float) -> None:
        """what: create, sync or kill."""
        ...

    def looked_at_all(self, duration_s: float, since_last_s: float | None) -> None:
        """Everything in the runtime was listed."""
        ...


class NoMeter:
    """Measures nothing."""

    queue: QueueMetrics | None = None

    def runtime(self, service: Any) -> Any:
        return service

    def pod_started(self, total_s: float, sli_s: float) -> None:
        pass

    def pod_worked_on(self, what: str, duration_s: float) -> None:
        pass

    def looked_at_all(self, duration_s: float, since_last_s: float | None) -> None:
        pass


class StartClock:
    """How long one pod took to start, told once to the meter when it has."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._pulling_since_s: float | None = None
        self._pulled_s = 0.0

    def look(self, world: World, before: PodStatus, after: PodStatus, clock: Clock) -> None:
        """before, after: the pod's status before and after the world was seen."""
        if after.phase != "Pending" and before.phase != "Pending":
            return
        now_s = clock.monotonic()
        if world.pulling and self._pulling_since_s is None:
            self._pulling_since_s = now_s
        elif not world.pulling and self._pulling_since_s is not None:
            self._pulled_s += now_s - self._pulling_since_s
            self._pulling_since_s = None
        created = world.pod.metadata.creation_timestamp
        if after.phase == "Running" and created is not None:
            total_s = max(0.0, (clock.now() - created).total_seconds())  # clocks differ
            self._meter.pod_started(total_s, max(0.0, total_s - self._pulled_s - _prepared_s(world)))


def _prepared_s(world: World) -> float:
    """How long the init containers ran that had to end first."""
    runs = (run for container in world.pod.spec.init_containers for run in world.runs.get(container.name, ()))
    return sum(
        (run.finished_at - run.started_at).total_seconds()
        for run in runs
        if run.finished_at is not None and run.started_at is not None
    )
