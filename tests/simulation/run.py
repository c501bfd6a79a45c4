"""The command: simulate seeds, and make the smallest plan that still fails out of one that does.

python -m tests.simulation.run [--seeds N] [--first S] [--seed S] [--budget SECONDS] [--log]
"""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import gc
import itertools
import logging
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from knarr_api.types.core_v1 import ConfigMap, Pod
from knarr_client.virtual_time import Stalled, VirtualClock
from tests.simulation import plan as plan_module
from tests.simulation import shrink
from tests.simulation.cluster import Cluster
from tests.simulation.events import break_something, is_fault
from tests.simulation.invariants import Invariants, Violation, Written
from tests.simulation.load import Demand
from tests.simulation.loop import CURRENT, Process, SimulationLoop
from tests.simulation.plan import Plan
from tests.simulation.settled import unsettled
from tests.simulation.users import People, Writer
from tests.simulation.watchers import Watcher

SETTLE_S = 240.0
SETTLED_S = 15.0
"""So long it must stay as it should be: a node that was silent is taken for lost some time later."""
LOOK_S = 1.0
QUIET_S = 30.0
"""So long nothing but Leases may be written after everything has settled."""
PROGRESS_S = 15.0
AGAIN = "./dev simulate --seed"
SHM = Path("/dev/shm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """digest: of all writes with their times. violation: empty when all invariants held."""

    seed: int
    digest: str
    commits: int
    virtual_s: float
    name: str = ""
    violation: str = ""


def simulate(plan: Plan, *, log: bool = False) -> Outcome:
    """Run a plan from beginning to end, or to the first violation."""
    random.seed(plan.seed)
    directory = Path(tempfile.mkdtemp(prefix="knarr-simulation-", dir=SHM if SHM.is_dir() else None))
    gc.collect()
    if not gc.get_freeze_count():
        gc.freeze()  # before the first life all is the code's: not to be looked at again after each
    gc.disable()  # when something is collected must not depend on what ran before
    try:
        with asyncio.Runner(loop_factory=SimulationLoop) as runner:
            return runner.run(_Simulation(plan, directory, log=log).run())
    finally:
        gc.enable()
        shutil.rmtree(directory, ignore_errors=True)


class _Simulation:
    def __init__(self, plan: Plan, directory: Path, *, log: bool) -> None:
        self._plan = plan
        self._directory = directory
        self._log = log

    async def run(self) -> Outcome:
        loop = asyncio.get_running_loop()
        cluster = self._cluster = Cluster(self._plan, self._directory)
        invariants = self._invariants = Invariants(cluster.storage, log=self._log)
        invariants.machines = cluster.machines
        cluster.issued, cluster.committed = invariants.issued, invariants.committed
        cluster.started, cluster.failed = invariants.started, self._failed
        MISTAKES.tell = lambda error: invariants.fail("a mistake was logged", _told(error))
        users = self._users = Process("users", VirtualClock(), self._failed)
        self._people = People(cluster, users, invariants)
        playing = asyncio.ensure_future(self._play())
        found = asyncio.ensure_future(invariants.found.wait())
        try:
            await asyncio.wait({playing, found}, return_when=asyncio.FIRST_COMPLETED)
            if not invariants.found.is_set():
                playing.result()
        except Violation as violation:
            invariants.violation = invariants.violation or violation
        except Stalled as error:
            invariants.fail("liveness", str(error))
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
        )

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
            elif is_fault(event):
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


def main() -> int:
    """Exit status 1 when a seed has failed."""
    parser = argparse.ArgumentParser(prog="./dev simulate", description="a cluster in virtual time, with faults")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="this one alone, with its plan")
    parser.add_argument("--budget", type=float, default=0.0, help="begin no seed after so many seconds (default: all)")
    parser.add_argument("--having", default="", help="only seeds whose plan has such an event, as Evict")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--keep", action="store_true", help="go on after a seed has failed")
    parser.add_argument("--no-shrink", action="store_true", help="show the plan of a failing seed as it is")
    parser.add_argument("--log", action="store_true", help="with --seed: every write")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets, for this process and those it starts
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": "0"})
    if arguments.seed is not None:
        return _one(arguments.seed, log=arguments.log, small=not arguments.no_shrink)
    seeds = (seed for seed in itertools.count(arguments.first) if _has(seed, arguments.having))
    return _many(list(itertools.islice(seeds, arguments.seeds)), arguments)


def _has(seed: int, event: str) -> bool:
    return not event or any(type(each).__name__ == event for each in plan_module.make(seed).events)


def _one(seed: int, *, log: bool, small: bool) -> int:
    be_quiet(verbose=log)
    plan = plan_module.make(seed)
    outcome = simulate(plan, log=log)
    print(_line(outcome))
    if not outcome.violation:
        return 0
    be_quiet(verbose=False)
    _explain(plan, outcome, small=small)
    return 1


def _many(seeds: Sequence[int], arguments: argparse.Namespace) -> int:
    began_s, failed, done, commits = time.monotonic(), [], 0, 0
    told_s = began_s
    context = multiprocessing.get_context("spawn")
    workers = min(arguments.workers, len(seeds))
    with concurrent.futures.ProcessPoolExecutor(workers, context, initializer=be_quiet) as pool:
        waiting = {
            pool.submit(run_seed, seed, began_s + arguments.budget if arguments.budget else 0.0) for seed in seeds
        }
        for future in concurrent.futures.as_completed(waiting):
            if future.cancelled():
                continue
            outcome = future.result()
            if outcome is None:
                continue
            done, commits = done + 1, commits + outcome.commits
            if outcome.violation:
                failed.append(outcome)
                print(f"{_line(outcome)}\n  again: {AGAIN} {outcome.seed}", flush=True)
                if not arguments.keep:
                    for other in waiting:
                        other.cancel()
            if time.monotonic() >= told_s + PROGRESS_S:
                told_s = time.monotonic()
                print(f"{done} of {len(seeds)} seeds, {len(failed)} failed, {told_s - began_s:.0f} s", flush=True)
    took_s = time.monotonic() - began_s
    print(f"{done} seeds, {commits} writes, {len(failed)} failed, {took_s:.0f} s", flush=True)
    if failed:
        print(f"failed: {' '.join(str(outcome.seed) for outcome in sorted(failed, key=lambda each: each.seed))}")
        first = min(failed, key=lambda outcome: outcome.seed)
        be_quiet()
        _explain(plan_module.make(first.seed), first, small=not arguments.no_shrink)
    return 1 if failed else 0


def run_seed(seed: int, until_s: float) -> Outcome | None:
    """None when the time is over. Of a worker process."""
    if until_s and time.monotonic() >= until_s:
        return None
    return simulate(plan_module.make(seed))


def _explain(plan: Plan, outcome: Outcome, *, small: bool) -> None:
    print(f"\nseed {plan.seed} broke this invariant:\n  {outcome.violation}")
    if small:
        plan = shrink.smallest(plan, lambda tried: simulate(tried).name == outcome.name)
        print(f"with the smallest plan:\n  {simulate(plan).violation}")
    print(f"\n{plan.control_planes} control planes, {plan.nodes} nodes, mended at {plan.ends_s:.1f} s")
    for event in plan.events:
        print(f"  {event}")
    print(f"\nagain: {AGAIN} {plan.seed}", flush=True)


def _line(outcome: Outcome) -> str:
    what = outcome.violation or "held"
    return f"seed {outcome.seed}: {what} ({outcome.commits} writes, {outcome.virtual_s:.0f} s, {outcome.digest[:12]})"


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


if __name__ == "__main__":
    sys.exit(main())
