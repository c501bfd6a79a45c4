"""How a control plane waits for its store."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from knarr_controlplane.store.opening import open_store
from tests.conformance.store.slow_etcd import PATIENCE_FILE

OF_A_LARGE_ETCD_S = 20.0
"""To read 2.5 GB."""


async def test_an_etcd_of_ones_own_may_read_its_data_for_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/etcd"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} {Path(__file__).with_name("slow_etcd.py")} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    opened = await open_store("etcd", tmp_path)
    try:
        waited_for_s = float((tmp_path / "etcd" / PATIENCE_FILE).read_text())
    finally:
        await opened.close()
    assert waited_for_s > 2 * OF_A_LARGE_ETCD_S
