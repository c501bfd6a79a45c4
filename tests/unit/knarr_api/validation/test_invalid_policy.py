"""Disruption budgets that are wrong, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api import json, validation
from knarr_api.types.policy_v1 import PodDisruptionBudget


def problems(**spec: Any) -> list[str]:
    metadata = {"name": "b", "namespace": "default"}
    document = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec}
    return [str(problem) for problem in validation.validate(json.decode_strict(document, PodDisruptionBudget))]


@pytest.mark.parametrize(
    "spec", [{}, {"minAvailable": 1}, {"maxUnavailable": "50%", "unhealthyPodEvictionPolicy": "AlwaysAllow"}]
)
def test_what_is_right(spec: Any) -> None:
    assert problems(**spec) == []


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"minAvailable": 1, "maxUnavailable": 1},
            'spec: Invalid value: "": minAvailable and maxUnavailable cannot be both set',
        ),
        ({"minAvailable": -1}, "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"),
        ({"maxUnavailable": "x"}, 'spec.maxUnavailable: Invalid value: "x": a valid percent string'),
        ({"maxUnavailable": "101%"}, 'spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%'),
        ({"unhealthyPodEvictionPolicy": "x"}, 'spec.unhealthyPodEvictionPolicy: Unsupported value: "x"'),
        ({"selector": {"matchLabels": {"-": "a"}}}, "spec.selector.matchLabels"),
    ],
)
def test_what_is_wrong(spec: Any, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(**spec)), problems(**spec)
