"""What a node should run is kept on disk, as soon as that can be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from knarr_api.types.core_v1 import Pod, PodSpec, PodStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.assignments import AssignmentStore


@pytest.fixture
def store(tmp_path: Path) -> AssignmentStore:
    return AssignmentStore(tmp_path, tmp_path / "secrets")


def pod(uid: str, phase: str = "", node: str = "n1") -> Pod:
    return Pod(metadata=ObjectMeta(name=uid, uid=uid), spec=PodSpec(node_name=node), status=PodStatus(phase=phase))


def test_another_status_is_written_later(store: AssignmentStore) -> None:
    store.save(pod("u1"))
    store.save(pod("u1", "Running"))
    assert store.load() == {"u1": pod("u1")}
    store.flush()
    assert store.load() == {"u1": pod("u1", "Running")}


def test_what_the_disk_has_no_room_for_is_written_once_it_has(store: AssignmentStore, tmp_path: Path) -> None:
    in_the_way = tmp_path / "u1"
    in_the_way.touch()
    store.save(pod("u1", "Pending"))
    store.save(pod("u1", "Running"))
    store.flush()
    assert store.load() == {}
    in_the_way.unlink()
    store.flush()
    assert store.load() == {"u1": pod("u1", "Running")}


def test_what_is_forgotten_is_not_written_any_more(store: AssignmentStore, tmp_path: Path) -> None:
    in_the_way = tmp_path / "u1"
    in_the_way.touch()
    store.save(pod("u1"))
    in_the_way.unlink()
    store.forget("u1")
    store.flush()
    assert store.load() == {}
