"""What leads to other nodes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knarr_api.types.core_v1 import Node, NodeAddress, NodeSpec, NodeStatus
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.overlay import Entries, Peer, changes, mac_of, peers, wanted_entries


def node(name: str, address: str, cidr: str) -> Node:
    addresses = (NodeAddress(type="Hostname", address=name), NodeAddress(type="InternalIP", address=address))
    return Node(metadata=ObjectMeta(name=name), spec=NodeSpec(pod_cidr=cidr), status=NodeStatus(addresses=addresses))


def test_peers_are_the_other_nodes_that_can_be_reached() -> None:
    nodes = [
        node("own", "192.0.2.1", "10.244.0.0/24"),
        node("other", "192.0.2.2", "10.244.1.0/24"),
        node("fresh", "192.0.2.3", ""),
        node("six", "2001:db8::1", "10.244.3.0/24"),
        node("odd", "192.0.2.4", "not a network"),
    ]
    assert peers(nodes, "own") == {Peer("192.0.2.2", "10.244.1.0/24")}


def test_everything_follows_from_address_and_cidr() -> None:
    assert mac_of("192.0.2.2") == "0a:6e:c0:00:02:02"
    entries = wanted_entries([Peer("192.0.2.2", "10.244.1.0/24")])
    assert entries.routes == {("10.244.1.0/24", "10.244.1.0")}
    assert entries.neighbours == {("10.244.1.0", "0a:6e:c0:00:02:02")}
    assert entries.forwards == {("0a:6e:c0:00:02:02", "192.0.2.2")}


def test_two_claims_to_one_network_have_one_winner() -> None:
    both = [Peer("192.0.2.3", "10.244.1.0/24"), Peer("192.0.2.2", "10.244.1.0/24")]
    assert wanted_entries(both) == wanted_entries(both[1:])


PEERS = st.sets(st.builds(lambda a, b: Peer(f"192.0.2.{a}", f"10.244.{b}.0/24"), st.integers(1, 9), st.integers(1, 9)))


@given(PEERS, PEERS)
def test_changes_lead_from_what_is_to_what_is_wanted(before: set[Peer], after: set[Peer]) -> None:
    have, want = wanted_entries(before), wanted_entries(after)
    todo = changes(have, want)
    assert (have.routes - todo.removed.routes) | todo.added.routes == want.routes
    assert (have.forwards - todo.removed.forwards) | todo.added.forwards == want.forwards
    assert changes(want, want).added == Entries()
    assert changes(want, want).removed == Entries()
