"""Node health, taints, evictions and address ranges as pure decisions."""

from __future__ import annotations

import datetime
import ipaddress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api.types.core_v1 import (
    Node,
    NodeCondition,
    NodeSpec,
    NodeStatus,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    Taint,
    Toleration,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_controlplane.controllers.nodes import health, taints
from knarr_controlplane.controllers.nodes.eviction import evictions
from knarr_controlplane.controllers.nodes.health import Health, HealthSettings
from knarr_controlplane.controllers.nodes.ranges import Ranges
from knarr_controlplane.scheduler.tolerations import tolerated

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
SETTINGS = HealthSettings(grace_s=10, all_silent_hold_s=120)


def seconds(count):
    return datetime.timedelta(seconds=count)


def node(*conditions, given_taints=(), unschedulable=None):
    return Node(
        metadata=ObjectMeta(name="n1"),
        spec=NodeSpec(taints=given_taints, unschedulable=unschedulable),
        status=NodeStatus(conditions=tuple(NodeCondition(type=type_, status=status) for type_, status in conditions)),
    )


def keys(found):
    return [(taint.key.removeprefix("node.kubernetes.io/"), taint.effect) for taint in found]


# Health


def test_node_is_silent_after_its_grace_and_not_before():
    state = health.looked(Health(), {"a": "1", "b": "1"}, 0, SETTINGS)
    state = health.looked(state, {"a": "1", "b": "2"}, 10, SETTINGS)
    assert not health.is_silent(state, "a", 10, SETTINGS)
    assert health.is_silent(state, "a", 10.5, SETTINGS)
    assert not health.is_silent(state, "b", 10.5, SETTINGS)


def test_node_without_a_lease_gets_its_grace_too():
    state = health.looked(Health(), {"a": ""}, 5, SETTINGS)
    assert not health.is_silent(state, "a", 15, SETTINGS)
    assert health.is_silent(state, "a", 15.1, SETTINGS)


def test_forgiving_starts_every_grace_anew():
    state = health.looked(Health(), {"a": "1"}, 0, SETTINGS)
    state = health.forgiven(state, 100)
    assert not health.is_silent(state, "a", 110, SETTINGS)
    assert health.is_silent(state, "a", 110.1, SETTINGS)


def test_who_waits_while_others_come_back_is_not_silent():
    state = health.forgiven(health.looked(Health(), dict.fromkeys("abcd", "1"), 0, SETTINGS), 100)
    state = health.looked(state, {"a": "2"}, 108, SETTINGS)
    state = health.looked(state, {"a": "3", "b": "2"}, 116, SETTINGS)
    state = health.looked(state, {"a": "4", "b": "3", "e": "1"}, 124, SETTINGS)  # not one that comes back
    assert not health.silent(state, 126, SETTINGS)
    assert list(health.silent(state, 126.1, SETTINGS)) == ["c", "d"]


def test_heartbeats_of_the_others_give_a_silent_node_no_more_time():
    state = health.forgiven(health.looked(Health(), dict.fromkeys("ab", "1"), 0, SETTINGS), 100)
    state = health.looked(state, {"a": "2"}, 102, SETTINGS)
    assert list(health.silent(state, 110.1, SETTINGS)) == ["b"]


def test_it_is_not_waited_forever_for_those_who_come_back_one_by_one():
    names = [f"n{number}" for number in range(100)]
    state = health.forgiven(health.looked(Health(), dict.fromkeys(names, "1"), 0, SETTINGS), 100)
    silent = 0.0
    for number, name in enumerate(names[:-1], 1):
        now_s = 100.0 + 9 * number
        state = health.looked(state, {name: "2"}, now_s, SETTINGS)
        if not silent and health.is_silent(state, names[-1], now_s, SETTINGS):
            silent = now_s
    assert SETTINGS.all_silent_hold_s <= silent - 100 <= SETTINGS.all_silent_hold_s + 2 * SETTINGS.grace_s


def test_all_silent_is_held_and_ends_with_the_first_voice():
    state = health.looked(Health(), {"a": "1", "b": "1"}, 0, SETTINGS)
    state = health.looked(state, {"a": "1", "b": "1"}, 11, SETTINGS)
    assert not health.may_evict(state, 130, SETTINGS)
    assert health.may_evict(state, 131, SETTINGS)
    state = health.looked(state, {"a": "2", "b": "1"}, 50, SETTINGS)
    assert health.may_evict(state, 50, SETTINGS)
    assert state.calm_since_s == 50


def test_what_is_given_back_is_given_again():
    ranges = Ranges("10.0.0.0/22", 24)
    for cidr in ("10.0.0.0/24", "10.0.1.0/24", "10.0.1.0/24"):
        ranges.take(cidr)
    assert ranges.first_free() == "10.0.2.0/24"
    ranges.give_back("10.0.1.0/24")
    assert ranges.first_free() == "10.0.2.0/24"
    ranges.give_back("10.0.1.0/24")
    assert ranges.first_free() == "10.0.1.0/24"


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.1, 30), st.sets(st.sampled_from("abc"))), max_size=40))
def test_only_nodes_that_did_not_renew_for_the_grace_are_silent(steps):
    state, now_s = Health(), 0.0
    renewals = dict.fromkeys("abc", 0)
    heard_s = dict.fromkeys("abc", 0.0)
    state = health.looked(state, {name: str(count) for name, count in renewals.items()}, now_s, SETTINGS)
    for wait_s, renewing in steps:
        now_s += wait_s
        for name in renewing:
            renewals[name] += 1
            heard_s[name] = now_s
        state = health.looked(state, {name: str(count) for name, count in renewals.items()}, now_s, SETTINGS)
        for name in "abc":
            assert health.is_silent(state, name, now_s, SETTINGS) == (now_s - heard_s[name] > 10)
        silent = {name for name in "abc" if now_s - heard_s[name] > 10}
        assert set(health.silent(state, now_s, SETTINGS)) == silent
        assert (state.all_silent_since_s is not None) == (len(silent) == 3)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("abcd"), st.sampled_from(["", "1", "2", None])), max_size=30))
def test_only_what_changed_needs_to_be_told(steps):
    """As if every node were looked at each time."""
    told, looked, renewals = Health(), Health(), {}
    for number, changed in enumerate(steps):
        now_s = 4.0 * number
        renewals = {name: each for name, each in {**renewals, **changed}.items() if each is not None}
        gone = dict.fromkeys(set("abcd") - renewals.keys())
        told = health.looked(told, changed, now_s, SETTINGS)
        looked = health.looked(looked, {**gone, **renewals}, now_s, SETTINGS)
        assert told == looked
        assert health.silent(told, now_s, SETTINGS).keys() == health.silent(looked, now_s, SETTINGS).keys()


# Taints


@pytest.mark.parametrize(
    ("present", "expected"),
    [
        (node(("Ready", "True")), []),
        (node(("Ready", "False")), [("not-ready", "NoSchedule"), ("not-ready", "NoExecute")]),
        (node(("Ready", "Unknown")), [("unreachable", "NoSchedule"), ("unreachable", "NoExecute")]),
        (node(("Ready", "True"), ("MemoryPressure", "True")), [("memory-pressure", "NoSchedule")]),
        (node(("Ready", "True"), unschedulable=True), [("unschedulable", "NoSchedule")]),
        (node(), []),
    ],
)
def test_conditions_become_taints(present, expected):
    assert keys(taints.wanted(present, NOW)) == expected


def test_taints_of_others_stay_and_ours_go_when_their_reason_does():
    mine = Taint(key="dedicated", value="db", effect="NoSchedule")
    ours = Taint(key=taints.UNREACHABLE, effect="NoExecute", time_added=NOW)
    assert taints.wanted(node(("Ready", "True"), given_taints=(ours, mine)), NOW) == (mine,)


def test_taints_keep_the_time_they_were_added():
    first = taints.wanted(node(("Ready", "Unknown")), NOW)
    later = node(("Ready", "Unknown"), given_taints=first)
    assert taints.wanted(later, NOW + seconds(60)) is first


def test_silent_node_reports_nothing_that_is_known():
    present = node(("Ready", "True"), ("MemoryPressure", "False"), ("Custom", "True"))
    status = taints.silenced(present, NOW)
    assert {each.type: each.status for each in status.conditions} == {
        "Ready": "Unknown",
        "MemoryPressure": "Unknown",
        "DiskPressure": "Unknown",
        "PIDPressure": "Unknown",
        "Custom": "True",
    }
    again = Node(status=status)
    assert taints.silenced(again, NOW + seconds(9)) is status


# Evictions


def pod(name, *tolerations, **kwargs):
    return Pod(
        metadata=ObjectMeta(name=name, **kwargs),
        spec=PodSpec(node_name="n1", tolerations=tolerations),
        status=PodStatus(phase="Running"),
    )


def tolerating(wait_s=None, key=taints.UNREACHABLE):
    return Toleration(key=key, operator="Exists", effect="NoExecute", toleration_seconds=wait_s)


UNREACHABLE = Taint(key=taints.UNREACHABLE, effect="NoExecute", time_added=NOW)


def found(*pods, at=0, not_before=NOW, present=(UNREACHABLE,)):
    return {
        each.pod.metadata.name: each.in_s for each in evictions(pods, present, NOW + seconds(at), not_before=not_before)
    }


def test_pods_stay_as_long_as_they_tolerate():
    pods = (pod("never"), pod("thirty", tolerating(30)), pod("ever", tolerating()), pod("zero", tolerating(0)))
    assert found(*pods) == {"never": 0, "thirty": 30, "zero": 0}
    assert found(*pods, at=31)["thirty"] == -1


def test_of_several_tolerations_of_a_taint_the_first_counts():
    assert found(pod("a", tolerating(30), tolerating(5))) == {"a": 30}
    assert found(pod("a", Toleration(operator="Exists"), tolerating(5))) == {}
    assert found(pod("a", tolerating(5), Toleration(operator="Exists"))) == {"a": 5}


def test_of_several_taints_the_shortest_time_counts():
    other = Taint(key="maintenance", effect="NoExecute", time_added=NOW)
    assert found(pod("a", tolerating(30)), present=(UNREACHABLE, other)) == {"a": 0}


def test_tolerations_of_lost_nodes_do_not_run_while_we_were_away():
    assert found(pod("a", tolerating(30)), at=600, not_before=NOW + seconds(590)) == {"a": 20}


def test_taints_that_do_not_execute_evict_nobody():
    assert not found(pod("a"), present=(Taint(key="x", effect="NoSchedule"),))


def test_pods_that_go_anyway_are_left_alone():
    assert not found(pod("a", deletion_timestamp=NOW))


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        (Toleration(operator="Exists"), True),
        (Toleration(key="k", operator="Exists"), True),
        (Toleration(key="k", value="v"), True),
        (Toleration(key="k", value="w"), False),
        (Toleration(key="k", value="v", effect="NoSchedule"), False),
        (Toleration(key="other", operator="Exists"), False),
        (Toleration(value="v"), False),
    ],
)
def test_what_tolerates_what(toleration, expected):
    assert tolerated(Taint(key="k", value="v", effect="NoExecute"), (toleration,)) is expected


# Ranges


def first_free(cluster, prefix_length, used):
    ranges = Ranges(cluster, prefix_length)
    for text in used:
        ranges.take(text)
    return ranges.first_free()


def test_ranges_are_given_from_below_and_gaps_are_filled():
    assert first_free("10.244.0.0/16", 24, ()) == "10.244.0.0/24"
    assert first_free("10.244.0.0/16", 24, ("10.244.0.0/24", "10.244.2.0/24")) == "10.244.1.0/24"


def test_ranges_of_other_sizes_are_respected():
    assert first_free("10.244.0.0/16", 24, ("10.244.0.0/22",)) == "10.244.4.0/24"
    assert first_free("10.244.0.0/16", 24, ("192.168.0.0/16", "fd00::/64")) == "10.244.0.0/24"


def test_the_end_of_the_range_is_the_end():
    assert first_free("10.0.0.0/23", 24, ("10.0.0.0/24", "10.0.1.0/24")) is None


@settings(deadline=None)
@given(st.integers(1, 64))
def test_ranges_never_overlap(count):
    used = []
    for _ in range(count):
        used.append(first_free("10.0.0.0/18", 24, used))
    networks = [ipaddress.ip_network(each) for each in used]
    assert all(not one.overlaps(other) for index, one in enumerate(networks) for other in networks[:index])


def test_a_pod_that_comes_later_has_its_whole_time():
    arrived = PodCondition(type="PodScheduled", status="True", last_transition_time=NOW + seconds(600))
    late = msgspec.structs.replace(pod("late", tolerating(30)), status=PodStatus(conditions=(arrived,)))
    assert found(late, at=610) == {"late": 20}
    assert found(late, at=631) == {"late": -1}


def test_a_taint_that_executes_gets_the_time_it_was_seen():
    executing, other = Taint(key="maintenance", effect="NoExecute"), Taint(key="x", effect="NoSchedule")
    made = taints.wanted(node(given_taints=(executing, other)), NOW)
    assert [taint.time_added for taint in made] == [NOW, None]
    assert taints.wanted(node(given_taints=made), NOW + seconds(5)) is made
