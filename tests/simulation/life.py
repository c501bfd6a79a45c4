"""One life of a cluster: a plan, played to its end or to the first violation."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import random
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from knarr_api import kinds
from knarr_api.types.coordination_v1 import Lease
from knarr_api.types.core_v1 import ConfigMap, Pod
from knarr_client.virtual_time import VirtualClock
from tests.simulation.breaking import break_something
from tests.simulation.cluster import TERM_KEY, Cluster
from tests.simulation.invariants import Invariants, Violation, Written
from tests.simulation.load import Demand
from tests.simulation.loop import CURRENT, Process, SimulationLoop
from tests.simulation.plan import Plan
from tests.simulation.settled import behind, unsettled
from tests.simulation.troubles import Fault
from tests.simulation.users import People, Writer
from tests.simulation.watchers import Watcher

SETTLE_S = 240.0
SETTLED_S = 15.0
"""So long it must stay as it should be: a node that was silent is taken for lost some time later."""
LOOK_S = 1.0
QUIET_S = 30.0
"""So long nothing but Leases may be written after everything has settled."""
CPU_S = 120.0
"""Of a processor, for one life. Most take one."""
SHM = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Outcome:
    """digest: of all writes with their times. violation: empty when all invariants held. fired: how often what can
    break did, by its name."""

    seed: int
    digest: str
    commits: int
    virtual_s: float
    name: str = ""
    violation: str = ""
    fired: Counter[str] = field(default_factory=Counter)


class OutOfTime(KeyboardInterrupt):
    """Not an Exception, nor anything that a task would keep to itself."""


def simulate(plan: Plan, *, log: bool = False, only: str = "") -> Outcome:
    """Run a plan from beginning to end, or to the first violation. only: of that invariant, others are passed over."""
    random.seed(plan.seed)
    directory = Path(tempfile.mkdtemp(prefix="knarr-simulation-", dir=SHM if SHM.is_dir() else None))
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()  # before the first life all is the code's: not to be looked at again after each
    gc.disable()  # when something is collected must not depend on what ran before
    try:
        with limited(CPU_S), asyncio.Runner(loop_factory=SimulationLoop) as runner:
            return runner.run(_Simulation(plan, directory, log=log, only=only).run())
    except OutOfTime as error:
        return Outcome(plan.seed, "", 0, 0.0, "liveness", f"liveness: {error}")
    finally:
        gc.enable()
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def limited(cpu_s: float) -> Iterator[None]:
    """What computes without end never comes back to the loop, which could say so. A processor's time is counted, as
    others may be at work."""

    def stop(*_: Any) -> None:
        raise OutOfTime(f"not over after {cpu_s:g} s of a processor")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, cpu_s, cpu_s / 10)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


class _Simulation:
    def __init__(self, plan: Plan, directory: Path, *, log: bool, only: str) -> None:
        self._only = only
        self._plan = plan
        self._directory = directory
        self._log = log

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimulationLoop)
        cluster = self._cluster = Cluster(self._plan, self._directory)
        invariants = self._invariants = Invariants(cluster.storage, log=self._log, only=self._only)
        invariants.machines = cluster.machines
        cluster.issued, cluster.committed = invariants.issued, invariants.committed
        cluster.started, cluster.failed = invariants.started, self._failed
        cluster.claims = invariants.claims.present
        MISTAKES.tell = lambda error: invariants.fail("a mistake was logged", _told(error))
        loop.stuck = lambda text: invariants.fail("liveness", text)
        users = self._users = Process("users", VirtualClock(), self._failed)
        self._people = People(cluster, users, invariants)
        playing = asyncio.ensure_future(self._play())
        found = asyncio.ensure_future(invariants.found.wait())
        try:
            await asyncio.wait({playing, found}, return_when=asyncio.FIRST_COMPLETED)
            if not invariants.found.is_set():
                playing.result()
        except Violation as violation:
            invariants.tell(violation)
        playing.cancel()
        found.cancel()
        await asyncio.wait({playing, found})
        users.kill()
        cluster.stop()
        violation = invariants.violation
        return Outcome(
            seed=self._plan.seed,
            digest=invariants.digest.hexdigest(),
            commits=invariants.commits,
            virtual_s=loop.time(),
            name=violation.name if violation is not None else "",
            violation=str(violation or ""),
            fired=self._fired(),
        )

    def _fired(self) -> Counter[str]:
        """What the cluster counted, and what came of it."""
        leases = self._invariants.history.get(kinds.of(Lease).key_prefix, [])
        leaders = {each.obj.spec.holder_identity for each in leases if each.key == TERM_KEY and each.obj is not None}
        lost = len(self._invariants.rights.silent)
        return self._cluster.fired + Counter({"leader changed": max(0, len(leaders) - 1), "node taken for lost": lost})

    async def _play(self) -> None:
        cluster, invariants, users = self._cluster, self._invariants, self._users
        cluster.start()
        writers = [Writer(cluster, users, invariants, f"writer-{number}") for number in range(self._plan.writers)]
        counting = [users.spawn(writer.run(), "writer") for writer in writers]
        watchers = [Watcher(cluster, users, invariants, Pod, "watcher-pods")]
        watchers.append(Watcher(cluster, users, invariants, ConfigMap, "watcher-configmaps"))
        for watcher in watchers:
            users.spawn(watcher.run(), "watcher", vital=True)
        for event in self._plan.events:
            await self._until(event.at_s)
            if isinstance(event, Demand):
                cluster.demand_m = event.cpu_m
            elif isinstance(event, Fault):
                break_something(cluster, invariants, watchers, event)
            else:
                self._people.act(event)
        await self._until(self._plan.ends_s)
        cluster.mend()
        for writer in writers:
            writer.stop = True
        await self._settle(counting)
        await self._stay_quiet()

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - asyncio.get_running_loop().time()))

    async def _settle(self, counting: list[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + SETTLE_S
        left, since_s = ["users wait for an answer"], math.inf
        while loop.time() < deadline_s:
            await asyncio.sleep(LOOK_S)
            if self._people.done() and all(task.done() for task in counting):
                for task in counting:
                    task.result()
                left = unsettled(self._cluster, self._invariants, self._people)
                since_s = math.inf if left else min(since_s, loop.time())
                if loop.time() >= since_s + SETTLED_S:
                    return
        raise Violation("convergence", f"not settled {SETTLE_S:.0f} s after the last fault: {'; '.join(left[:8])}")

    async def _stay_quiet(self) -> None:
        """Conditions and events of what has just settled may still be written for some seconds; an autoscaler looks
        each 15 s, and at what it did within the last 15."""
        await asyncio.sleep(60.0 if self._cluster.autoscales else 10.0)
        self._invariants.writes.clear()
        await asyncio.sleep(QUIET_S)
        loud = [written for written in self._invariants.writes if not _is_expected(written)]
        if loud:
            keys = ", ".join(f"{written.key} by {written.by} at {written.at_s:.1f} s" for written in loud[:8])
            raise Violation("quiet", f"a settled cluster writes: {keys}")
        if old := behind(self._cluster, self._invariants):
            raise Violation("list", f"nothing is written any more: {'; '.join(old[:8])}")
        left = unsettled(self._cluster, self._invariants, self._people)
        if left:
            raise Violation("convergence", f"settled, and then not any more: {'; '.join(left[:8])}")

    def _failed(self, process: Process, part: str, error: BaseException) -> None:
        self._invariants.fail("a part has ended", f"{part}: {_told(error)}")


def _is_expected(written: Written) -> bool:
    return written.key.startswith("/registry/coordination.k8s.io/leases/")


def _told(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(_told(each) for each in error.exceptions)
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = f" ({place.tb_frame.f_code.co_filename}:{place.tb_lineno})" if place is not None else ""
    return f"{type(error).__name__}: {error}{where}"


class _Mistakes:
    """A processor of structlog: an exception that somebody had to log is one that nobody has thought of."""

    def __init__(self) -> None:
        self.tell: Callable[[BaseException], None] = lambda error: None

    def __call__(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        process = CURRENT.get()
        error = sys.exc_info()[1] if event.get("exc_info") else None
        if error is not None and process is not None and process.alive:
            self.tell(error)
        return event


MISTAKES = _Mistakes()


def _silent(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    raise structlog.DropEvent


def be_quiet(*, verbose: bool = False) -> None:
    level = logging.DEBUG if verbose else logging.ERROR
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        processors=[MISTAKES, *([structlog.dev.ConsoleRenderer(colors=False)] if verbose else [_silent])],
        cache_logger_on_first_use=False,
    )
