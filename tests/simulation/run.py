"""The command: simulate seeds, and make the smallest plan that still fails out of one that does.

python -m tests.simulation.run [--seeds N] [--first S] [--seed S] [--budget SECONDS] [--faults] [--log]
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import math
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.simulation import plan as plan_module
from tests.simulation import shrink
from tests.simulation.life import Outcome, be_quiet, simulate
from tests.simulation.plan import Plan
from tests.simulation.troubles import FAULTS

PROGRESS_S = 15.0
AGAIN = "./dev simulate --seed"


def main() -> int:
    """Exit status 1 when a seed has failed."""
    parser = argparse.ArgumentParser(prog="./dev simulate", description="a cluster in virtual time, with faults")
    parser.add_argument("--seeds", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--first", type=int, default=0, help="the first of them (default 0)")
    parser.add_argument("--seed", type=int, help="this one alone, with its plan")
    parser.add_argument("--budget", type=float, default=math.inf, help="begin no seed after so many seconds")
    parser.add_argument(
        "--having", action="append", default=[], help="only seeds whose plan has an event like this, as Evict"
    )
    parser.add_argument("--only", default="", help="look at this invariant alone, as quiet")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="processes (default: one per core)")
    parser.add_argument("--keep", action="store_true", help="go on after a seed has failed")
    parser.add_argument("--no-shrink", action="store_true", help="show the plan of a failing seed as it is")
    parser.add_argument("--log", action="store_true", help="with --seed: every write")
    parser.add_argument("--faults", action="store_true", help="how often each thing that can break did")
    arguments = parser.parse_args()
    if os.environ.get("PYTHONHASHSEED") != "0":  # the order of sets, for this process and those it starts
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONHASHSEED": "0"})
    if arguments.seed is not None:
        return _one(arguments.seed, arguments)
    return _many(list(itertools.islice(seeds_having(arguments.having, arguments.first), arguments.seeds)), arguments)


def seeds_having(events: Sequence[str], first: int = 0) -> Iterator[int]:
    """Those with such events in their plans, without end."""
    for seed in itertools.count(first):
        told = [str(event) for event in plan_module.make(seed).events]
        if all(any(event in each for each in told) for event in events):
            yield seed


def _one(seed: int, arguments: argparse.Namespace) -> int:
    be_quiet(verbose=arguments.log)
    plan = plan_module.make(seed)
    outcome = simulate(plan, log=arguments.log, only=arguments.only)
    print(_line(outcome))
    if arguments.faults:
        _tell_faults([outcome])
    if not outcome.violation:
        return 0
    be_quiet(verbose=False)
    _explain(plan, outcome, arguments)
    return 1


def _many(seeds: Sequence[int], arguments: argparse.Namespace) -> int:
    began_s = told_s = time.monotonic()
    done: list[Outcome] = []
    failed: list[Outcome] = []
    for outcome in _outcomes(seeds, arguments, began_s + arguments.budget):
        done.append(outcome)
        if outcome.violation:
            failed.append(outcome)
            print(f"{_line(outcome)}\n  again: {AGAIN} {outcome.seed}", flush=True)
            if not arguments.keep:
                break
        if time.monotonic() >= told_s + PROGRESS_S:
            told_s = time.monotonic()
            print(f"{len(done)} of {len(seeds)} seeds, {len(failed)} failed, {told_s - began_s:.0f} s", flush=True)
    took_s, commits = time.monotonic() - began_s, sum(outcome.commits for outcome in done)
    if arguments.faults:
        _tell_faults(done)
    print(f"{len(done)} seeds, {commits} writes, {len(failed)} failed, {took_s:.0f} s", flush=True)
    if failed:
        print(f"failed: {' '.join(str(outcome.seed) for outcome in sorted(failed, key=lambda each: each.seed))}")
        first = min(failed, key=lambda outcome: outcome.seed)
        be_quiet()
        _explain(plan_module.make(first.seed), first, arguments)
    return 1 if failed else 0


def _outcomes(seeds: Sequence[int], arguments: argparse.Namespace, until_s: float) -> Iterator[Outcome]:
    """As they come: with one process, in the order of the seeds."""
    if arguments.workers == 1:
        be_quiet()
        for seed in seeds:
            outcome = run_seed(seed, until_s, arguments.only)
            if outcome is not None:
                yield outcome
        return
    context = multiprocessing.get_context("spawn")
    workers = min(arguments.workers, len(seeds))
    with concurrent.futures.ProcessPoolExecutor(workers, context, initializer=be_quiet) as pool:
        waiting = [pool.submit(run_seed, seed, until_s, arguments.only) for seed in seeds]
        try:
            for future in concurrent.futures.as_completed(waiting):
                outcome = future.result()
                if outcome is not None:
                    yield outcome
        finally:
            pool.shutdown(cancel_futures=True)


def run_seed(seed: int, until_s: float, only: str) -> Outcome | None:
    """None when the time is over. Of a worker process."""
    if time.monotonic() >= until_s:
        return None
    return simulate(plan_module.make(seed), only=only)


def _tell_faults(outcomes: Sequence[Outcome]) -> None:
    """One line for each thing that can break: how often it did, and in how many lives."""
    times = sum((outcome.fired for outcome in outcomes), Counter[str]())
    print(f"{'what broke':<32}{'times':>9}{'seeds':>7}")
    for name in sorted({*FAULTS, *times}, key=str.lower):
        print(f"{name:<32}{times[name]:>9}{sum(name in outcome.fired for outcome in outcomes):>7}")


def _explain(plan: Plan, outcome: Outcome, arguments: argparse.Namespace) -> None:
    print(f"\nseed {plan.seed} broke this invariant:\n  {outcome.violation}")
    if not arguments.no_shrink:
        plan = shrink.smallest(plan, lambda tried: simulate(tried, only=arguments.only).name == outcome.name)
        print(f"with the smallest plan:\n  {simulate(plan, only=arguments.only).violation}")
    print(f"\n{plan.control_planes} control planes, {plan.nodes} nodes, mended at {plan.ends_s:.1f} s")
    for event in plan.events:
        print(f"  {event}")
    print(f"\nagain: {AGAIN} {plan.seed}", flush=True)


def _line(outcome: Outcome) -> str:
    what = outcome.violation or "held"
    return f"seed {outcome.seed}: {what} ({outcome.commits} writes, {outcome.virtual_s:.0f} s, {outcome.digest[:12]})"


if __name__ == "__main__":
    sys.exit(main())
