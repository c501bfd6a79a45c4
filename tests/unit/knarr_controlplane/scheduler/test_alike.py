"""Pods that are alike are placed as each would be alone."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import OwnerReference
from knarr_controlplane.scheduler.alike import Alike
from knarr_controlplane.scheduler.framework import Placed, PodToPlace, decide
from knarr_controlplane.scheduler.profile import load_plugins
from tests.unit.knarr_controlplane.scheduler import oracle
from tests.unit.knarr_controlplane.scheduler.test_against_oracle import clusters, columns_of, pods

PLUGINS = load_plugins()
OWNER = OwnerReference(api_version="apps/v1", kind="ReplicaSet", name="r", uid="r", controller=True)


@st.composite
def siblings(draw: Any) -> list[Pod]:
    first = draw(pods("new"))
    owners = draw(st.sampled_from([(), (OWNER,)]))
    metadata = msgspec.structs.replace(first.metadata, owner_references=owners, deletion_timestamp=None)
    return [
        msgspec.structs.replace(
            first, metadata=msgspec.structs.replace(metadata, name=f"new{number}", uid=f"u{number}")
        )
        for number in range(draw(st.integers(2, 12)))
    ]


@settings(max_examples=200, deadline=None)
@given(clusters(), siblings(), st.integers(0, 12))
def test_the_verdicts_are_those_of_each_alone(cluster: oracle.Cluster, given_: list[Pod], other_at: int) -> None:
    """Something else than the siblings happens in between."""
    alone, together = columns_of(cluster), columns_of(cluster)
    alike = Alike(given_[0], together, PLUGINS)
    for number, pod in enumerate(given_):
        assert alike.includes(pod) or PodToPlace.of(pod).pinned is not None
        expected = decide(PodToPlace.of(pod), alone, PLUGINS, tie_break=number)
        verdict = alike.place(pod, tie_break=number)
        if verdict is None:  # to be decided alone
            if isinstance(expected, Placed):
                together.add_pod(pod, expected.node)
        else:
            assert isinstance(expected, Placed)
            assert msgspec.structs.replace(verdict, score=0.0) == msgspec.structs.replace(expected, score=0.0)
            assert abs(verdict.score - expected.score) < 1e-6
        if isinstance(expected, Placed):
            alone.add_pod(pod, expected.node)
        assert together.pods == alone.pods
        assert (together.requested == alone.requested).all() and (together.nonzero == alone.nonzero).all()
        if number == other_at and cluster.pods:
            gone = cluster.pods[0][0].metadata
            assert together.remove_pod(gone.namespace, gone.name) == alone.remove_pod(gone.namespace, gone.name)
