"""That the simulation can fail: some of the mistakes of ``planted`` are found within a few seeds."""

from __future__ import annotations

import concurrent.futures
import os

import pytest

from tests.simulation.mistakes import MISTAKES
from tests.simulation.planted import ROOT, hunt, row

QUICK = (
    "finalizers",
    "bound once",
    "one node per pod",
    "names",
    "liveness",
    "restart policy",
    "tolerations",
    "owners of fields",
)
"""Invariants whose mistakes are found in one seed or two, and which others do not cover."""
SEEDS = 8


@pytest.mark.timeout(300)
def test_planted_mistakes_are_found() -> None:
    chosen = [next(each for each in MISTAKES if each.aim == aim) for aim in QUICK]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        hunts = list(pool.map(lambda each: hunt(each, SEEDS, patience_s=240.0), chosen))
    missed = [row(each) for each in hunts if each.seed is None]
    assert not missed, "\n".join(missed)


def test_every_mistake_has_its_place() -> None:
    texts = {file: (ROOT / file).read_text() for mistake in MISTAKES for file in mistake.files}
    lost = [str(mistake) for mistake in MISTAKES if not all(old in texts[file] for file, old, _ in mistake.changes)]
    assert not lost, f"the code has changed: {lost} can't be planted any more"
