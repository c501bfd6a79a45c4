"""How much bad input there is in the tables beside this file, and that no kind is left out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from knarr_api import kinds

TABLES = ("test_invalid_objects", "test_invalid_batch", "test_invalid_workloads", "test_invalid_stored")
SAME = {("events.k8s.io/v1", "Event"), ("autoscaling/v1", "HorizontalPodAutoscaler")}
"""Checked as the other version of the kind."""
AT_LEAST = 500


def table(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"corpus_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_there_is_enough_of_it() -> None:
    rows: set[tuple[str, str, str]] = set()
    covered: dict[tuple[str, str], int] = {}
    for name in TABLES:
        module = table(name)
        for good, change, expected in module.ROWS:
            rows.add((good, repr(change), expected))
            document = module.GOOD[good]
            kind = (document["apiVersion"], document["kind"])
            covered[kind] = covered.get(kind, 0) + 1
    print(f"{len(rows)} invalid objects of {len(covered)} kinds")
    assert len(rows) >= AT_LEAST
    missing = {(kind.api_version, kind.kind) for kind in kinds.KINDS} - set(covered) - SAME
    assert not missing
