"""docs/guarantees.md says what the tests show, and nothing else."""

from __future__ import annotations

import re

import pytest

from tests.simulation.mistakes import MISTAKES
from tests.simulation.planted import ROOT

ROWS = [
    line
    for line in (ROOT / "docs/guarantees.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| Promise")
]
CODE = "".join(file.read_text() for file in (ROOT / "tests/simulation").glob("*.py"))
CHECKED = set(re.findall(r"""(?:fail\(\s*|Violation\()"([a-z][A-Za-z ]+)",""", CODE))
"""The names that a failing seed prints."""
NAMED = {name for row in ROWS for name in re.findall(r"\[([A-Za-z ]+)\]", row.split("|")[3])}


@pytest.mark.parametrize("row", ROWS, ids=[row[2:50] for row in ROWS])
def test_every_promise_names_a_test_that_is_there(row: str) -> None:
    proofs = row.split("|")[3]
    files = re.findall(r"`(tests/[^`]+)`", proofs)
    assert files or "simulation" in proofs
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_every_invariant_is_promised_and_every_promise_is_checked() -> None:
    assert NAMED == CHECKED


def test_a_mistake_is_planted_for_every_invariant() -> None:
    assert {mistake.aim for mistake in MISTAKES} == CHECKED
