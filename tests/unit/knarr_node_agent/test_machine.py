"""What the node says of itself."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest

from knarr_api.types.core_v1 import Node, NodeCondition, NodeStatus
from knarr_node_agent import machine
from knarr_node_agent import settings as settings_module
from knarr_node_agent.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    arguments = ["--data-dir", str(tmp_path), "--server", "127.0.0.1:1", "--node-name", "n1", "--label", "disk=ssd"]
    return settings_module.parse(arguments)


def test_node_has_capacity_labels_and_addresses(settings: Settings, now: datetime.datetime) -> None:
    status = machine.status(settings, "192.0.2.1", "knarr://1", [], None, now)
    node = machine.node(settings, status)
    assert node.metadata.labels["kubernetes.io/hostname"] == "n1"
    assert node.metadata.labels["disk"] == "ssd"
    assert set(node.status.capacity) == {"cpu", "memory", "pods", "ephemeral-storage"}
    assert node.status.capacity["memory"].value() > 1 << 20
    assert {(a.type, a.address) for a in node.status.addresses} == {("InternalIP", "192.0.2.1"), ("Hostname", "n1")}
    assert node.status.node_info is not None
    assert node.status.node_info.container_runtime_version == "knarr://1"


def test_conditions_keep_their_times_until_they_change(settings: Settings, now: datetime.datetime) -> None:
    first = machine.status(settings, "192.0.2.1", "knarr://1", [], None, now)
    later = now + datetime.timedelta(minutes=1)
    assert machine.status(settings, "192.0.2.1", "knarr://1", [], first, later) == first
    broken = machine.status(settings, "192.0.2.1", "knarr://1", ["container runtime is down"], first, later)
    ready = {condition.type: condition for condition in broken.conditions}["Ready"]
    assert (ready.status, ready.last_transition_time) == ("False", later)
    assert "container runtime is down" in ready.message


def test_address_on_the_way_to_the_server() -> None:
    assert machine.address_towards("127.0.0.1:6443") == "127.0.0.1"


def test_pods_are_told_again_while_the_node_is_taken_for_lost_and_when_it_is_found_again() -> None:
    def seen(status: str) -> Node:
        return Node(status=NodeStatus(conditions=(NodeCondition(type="Ready", status=status),)))

    there, lost = seen("True"), seen("Unknown")
    assert machine.must_tell_pods_again(there, lost)
    assert machine.must_tell_pods_again(lost, there), "set to not ready after it had told"
    assert machine.must_tell_pods_again(None, lost)
    assert not machine.must_tell_pods_again(there, there)
    assert not machine.must_tell_pods_again(None, there)
