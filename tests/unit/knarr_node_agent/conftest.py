"""Pods and worlds to decide about."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest

from knarr_api.types.core_v1 import Container, Pod, PodSpec
from knarr_api.types.meta_v1 import ObjectMeta


@pytest.fixture
def now() -> datetime.datetime:
    return datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)


@pytest.fixture
def a_pod() -> Callable[..., Pod]:
    def make(*containers: Container, **spec: Any) -> Pod:
        chosen = containers or (Container(name="main", image="busybox"),)
        return Pod(
            metadata=ObjectMeta(name="web", namespace="default", uid="u1", labels={"app": "web"}),
            spec=PodSpec(containers=chosen, **{"restart_policy": "Always", "node_name": "n1", **spec}),
        )

    return make
