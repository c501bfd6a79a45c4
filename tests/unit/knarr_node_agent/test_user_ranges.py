"""Ranges of user ids: one for each pod, for as long as it is on the node."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from knarr_api.errors import ResourceExhausted
from knarr_api.types.core_v1 import Pod
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.user_ranges import FILE, FIRST, LAST, LENGTH, UserRanges

MakePod = Callable[..., Pod]


def named(pod: Pod, uid: str) -> Pod:
    return Pod(metadata=ObjectMeta(name=uid, namespace="default", uid=uid), spec=pod.spec)


def test_only_pods_that_ask_get_one(a_pod: MakePod, tmp_path: Path) -> None:
    ranges = UserRanges(tmp_path)
    assert ranges.of(a_pod()) is None
    assert ranges.of(a_pod(host_users=True)) is None
    assert ranges.of(a_pod(host_users=False)) == FIRST


def test_no_two_pods_share_one_and_each_keeps_its_own(a_pod: MakePod, tmp_path: Path) -> None:
    pods = [named(a_pod(host_users=False), f"u{number}") for number in range(20)]
    ranges = UserRanges(tmp_path)
    first = [ranges.of(pod) for pod in pods]
    assert len({*first}) == 20 and all(base is not None and base % LENGTH == 0 for base in first)
    assert [ranges.of(pod) for pod in pods] == first
    assert [UserRanges(tmp_path).of(pod) for pod in reversed(pods)] == first[::-1], "after a restart, too"


def test_a_range_is_free_again_when_the_pod_is_gone(a_pod: MakePod, tmp_path: Path) -> None:
    one, two = (named(a_pod(host_users=False), uid) for uid in ("u1", "u2"))
    ranges = UserRanges(tmp_path)
    base = ranges.of(one)
    shutil.rmtree(tmp_path / "u1")
    ranges.forget("u1")
    assert ranges.of(two) == base


def test_a_full_node_says_so(a_pod: MakePod, tmp_path: Path) -> None:
    for number, base in enumerate(range(FIRST, LAST + 1, LENGTH)):
        (tmp_path / f"t{number}").mkdir()
        (tmp_path / f"t{number}" / FILE).write_text(str(base))
    with pytest.raises(ResourceExhausted, match="hostUsers"):
        UserRanges(tmp_path).of(a_pod(host_users=False))
