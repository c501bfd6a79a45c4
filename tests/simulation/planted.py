"""Whether the simulation can fail: mistakes planted into a copy of the code, and how many seeds it takes to find each.

python -m tests.simulation.planted [--seeds N] [--workers N] [NAME…]

Every mistake leaves out one precaution and aims at one invariant. Found means that this invariant fails in a seed; what
other invariants say of it is passed over, as each has to show that it can fail.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.mistakes import MISTAKES, Mistake
from tests.simulation.run import seeds_having

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("controlplane", "proto", "node_agent", "runtime", "tests")
COMPILED = shutil.ignore_patterns("*.so")
"""In whose place the changed source is to be read."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """What came of one. seeds: how many were played; seed: that which found it, None if none did."""

    mistake: Mistake
    seeds: int
    took_s: float
    seed: int | None = None
    problem: str = ""
    """Why nothing was played."""


def hunt(mistake: Mistake, seeds: int, *, patience_s: float | None = None) -> Hunt:
    """Play up to so many seeds that have what it takes, in order, in a process of its own. Raises TimeoutExpired."""
    began_s = time.monotonic()
    directory = Path(tempfile.mkdtemp(prefix="knarr-planted-"))
    try:
        for part in PARTS:
            shutil.copytree(ROOT / part, directory / part, ignore=COMPILED)
        if not mistake.plant(directory):
            return Hunt(mistake, 0, 0.0, problem=f"not planted: {', '.join(mistake.files)} changed")
        paths = os.pathsep.join([str(directory), *(str(directory / part) for part in PARTS)])
        environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0"}
        play = ["--seeds", str(seeds), "--no-shrink", "--workers", "1", "--only", mistake.aim]
        having = [f"--having={event}" for event in mistake.having]
        command = [sys.executable, "-m", "tests.simulation.run", *play, *having]
        done = subprocess.run(
            command,
            cwd=directory,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=patience_s,
        )
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    took_s = time.monotonic() - began_s
    found = re.search(rf"^seed (\d+): {mistake.aim}: ", done.stdout, re.MULTILINE)
    if found is not None:
        seed = int(found[1])
        played = sum(1 for _ in itertools.takewhile(lambda each: each <= seed, seeds_having(mistake.having)))
        return Hunt(mistake, played, took_s, seed=seed)
    if done.returncode:
        return Hunt(mistake, 0, took_s, problem=f"{done.stdout[-1000:]}{done.stderr[-2000:]}")
    return Hunt(mistake, seeds, took_s)


def row(hunted: Hunt) -> str:
    result = "ok" if hunted.seed is not None else hunted.problem or "NOT FOUND"
    seed = "" if hunted.seed is None else str(hunted.seed)
    name, aim = hunted.mistake.name, f"[{hunted.mistake.aim}]"
    return f"{name:<72}  {aim:<21}{hunted.seeds:>6}{seed:>7}{hunted.took_s:>7.0f}  {result}"


def main() -> int:
    """Exit status 1 when one was not found."""
    parser = argparse.ArgumentParser(prog="./dev simulate --planted", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="at most so many for each (default 100)")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="at a time (default: one per core)")
    parser.add_argument("names", nargs="*", help="only those whose name, or [invariant], contains one of these")
    arguments = parser.parse_args()
    chosen = [each for each in MISTAKES if not arguments.names or any(name in str(each) for name in arguments.names)]
    if not chosen:
        parser.error(f"no mistake is called like {' or '.join(arguments.names)}")
    began_s, missed = time.monotonic(), 0
    print(f"{'planted':<72}  {'found by':<21}{'seeds':>6}{'seed':>7}{'s':>7}", flush=True)
    with concurrent.futures.ThreadPoolExecutor(arguments.workers) as pool:
        for hunted in pool.map(lambda each: hunt(each, arguments.seeds), chosen):
            missed += hunted.seed is None
            print(row(hunted), flush=True)
    took_s = time.monotonic() - began_s
    print(f"{len(chosen)} planted, {len(chosen) - missed} found, {missed} not, {took_s:.0f} s", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
