"""Under which scheduling policy a control plane runs."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import os
from knarr_controlplane import main
os.sched_setscheduler(0, os.{given}, os.sched_param(0))
main._prefer_throughput()
print(os.sched_getscheduler(0) == os.{kept})
"""


@pytest.mark.parametrize(("given", "kept"), [("SCHED_OTHER", "SCHED_BATCH"), ("SCHED_IDLE", "SCHED_IDLE")])
def test_it_runs_as_a_batch_unless_it_was_started_otherwise(given: str, kept: str) -> None:
    program = PROGRAM.format(given=given, kept=kept)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "True\n", done.stderr
