"""Some seeds of the simulation, and that it repeats. Many more: ``./dev simulate --seeds 2000``."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.simulation import plan, shrink

ROOT = Path(__file__).resolve().parents[2]
SEEDS, SECONDS = 300, 150
REPEATED = 11


def simulate(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, as its hashes must be fixed from the start."""
    command = [sys.executable, "-m", "tests.simulation.run", *arguments]
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.timeout(400)
def test_invariants_hold() -> None:
    done = simulate("--seeds", str(SEEDS), "--budget", str(SECONDS))
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]


@pytest.mark.timeout(120)
def test_a_seed_gives_the_same_writes_at_the_same_times_again() -> None:
    first, second = (simulate("--seed", str(REPEATED)) for _ in range(2))
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stdout == second.stdout


def test_a_failing_plan_shrinks_to_what_it_takes() -> None:
    made = plan.make(3)
    needed = (made.events[2], made.events[-1])

    def fails(tried: plan.Plan) -> bool:
        return all(event in tried.events for event in needed)

    assert shrink.smallest(made, fails) == replace(made, events=needed)
