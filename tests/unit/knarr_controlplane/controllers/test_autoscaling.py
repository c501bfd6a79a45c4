"""How many replicas metrics ask for, how fast that is followed, and what the autoscaler says about it."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api import defaults, json, validation
from knarr_api.quantity import Quantity
from knarr_api.types.autoscaling_v1 import Scale
from knarr_api.types.autoscaling_v2 import HorizontalPodAutoscaler
from knarr_api.types.core_v1 import Pod, ResourceRequirements
from knarr_api.types.metrics_v1beta1 import PodMetrics
from knarr_controlplane.controllers.autoscaling.behaviour import At, Bounds, History, follow
from knarr_controlplane.controllers.autoscaling.decide import World, decide, failed
from knarr_controlplane.controllers.autoscaling.replicas import NotKnown, Target, Tolerance, propose

replace = msgspec.structs.replace
NOW = datetime.datetime(2026, 5, 1, 12, tzinfo=datetime.UTC)
LONG_AGO, JUST_NOW = NOW - datetime.timedelta(hours=1), NOW - datetime.timedelta(seconds=20)
HALF = Target(resource="cpu", utilization=50)
ALL = ResourceRequirements(requests={"cpu": Quantity("2")})


def stamp(at):
    return at.isoformat().replace("+00:00", "Z")


def pod(name, *, request="1", phase="Running", ready=True, started=LONG_AGO, changed=None, deleted=False):
    resources = {"requests": {"cpu": request}} if request else {}
    condition = {
        "type": "Ready",
        "status": "True" if ready else "False",
        "lastTransitionTime": stamp(changed or started + datetime.timedelta(seconds=5)),
    }
    metadata = {"name": name, "namespace": "d", **({"deletionTimestamp": stamp(NOW)} if deleted else {})}
    spec = {"containers": [{"name": "c", "image": "web:1", "resources": resources}]}
    status = {"phase": phase, "startTime": stamp(started), "conditions": [condition]}
    return json.from_builtins({"metadata": metadata, "spec": spec, "status": status}, Pod)


def metrics(name, cpu, at=NOW):
    document = {
        "metadata": {"name": name, "namespace": "d"},
        "timestamp": stamp(at),
        "window": "15s",
        "containers": [{"name": "c", "usage": {"cpu": cpu}}],
    }
    return json.from_builtins(document, PodMetrics)


def proposed(pods, used, target=HALF, current=None):
    known = [metrics(name, cpu) for name, cpu in used.items()]
    return propose(target, pods, known, len(pods) if current is None else current, NOW, Tolerance())


def names(count):
    return [f"p{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("use", "wanted"), [("500m", 3), ("540m", 3), ("460m", 3), ("1", 6), ("600m", 4), ("100m", 1), ("440m", 3)]
)
def test_replicas_follow_the_ratio_beyond_the_tolerance(use, wanted):
    found = proposed([pod(name) for name in names(3)], dict.fromkeys(names(3), use))
    assert found.replicas == wanted


def test_an_average_value_needs_no_requests():
    target = Target(resource="cpu", average_nanos=10**8)
    found = proposed([pod(name, request="") for name in names(2)], dict.fromkeys(names(2), "300m"), target)
    assert (found.replicas, found.average_nanos, found.utilization) == (6, 3 * 10**8, None)


def test_one_container_alone():
    target = Target(resource="cpu", container="other", utilization=50)
    with pytest.raises(NotKnown, match="no metrics returned from resource metrics API"):
        proposed([pod("p0")], {"p0": "1"}, target)


def test_a_share_of_nothing_is_not_known():
    with pytest.raises(NotKnown, match="missing request for cpu in container c of Pod p0"):
        proposed([pod("p0", request="")], {"p0": "1"})


def test_what_a_pod_requests_as_a_whole_is_what_its_share_is_of():
    whole = [replace(pod(name, request=""), spec=replace(pod(name, request="").spec, resources=ALL)) for name in "ab"]
    assert proposed(whole, {"a": "1", "b": "1"}).replicas == 2
    more = [replace(pod(name), spec=replace(pod(name).spec, resources=ALL)) for name in "ab"]
    assert proposed(more, {"a": "1", "b": "1"}).replicas == 2
    assert proposed(more, {"a": "1", "b": "1"}, Target(resource="cpu", container="c", utilization=50)).replicas == 4


def test_missing_pods_damp_the_change():
    pods = [pod(name) for name in names(4)]
    assert proposed(pods, {"p0": "1", "p1": "1"}).replicas == 4  # up: the missing use nothing, 2 / 4 of the target
    assert proposed(pods, {"p0": "1500m", "p1": "1500m", "p2": "1500m"}).replicas == 9
    assert proposed(pods, {"p0": "100m", "p1": "100m", "p2": "100m"}).replicas == 2  # down: they use the target


def test_pods_that_start_count_as_idle_when_scaling_up():
    pods = [pod("p0"), pod("p1"), pod("p2", phase="Pending", ready=False)]
    assert proposed(pods, {"p0": "1", "p1": "1"}).replicas == 4
    fresh = pod("p2", ready=False, started=JUST_NOW)
    assert proposed([pod("p0"), pod("p1"), fresh], dict.fromkeys(names(3), "1")).replicas == 4


def test_pods_that_go_or_have_failed_do_not_count():
    pods = [pod("p0"), pod("p1", phase="Failed"), pod("p2", deleted=True)]
    assert proposed(pods, dict.fromkeys(names(3), "1"), current=1).replicas == 2


@given(
    st.lists(st.tuples(st.integers(0, 3000), st.booleans(), st.booleans()), min_size=1, max_size=8),
    st.integers(1, 200),
)
def test_a_proposal_turns_in_the_direction_of_the_ratio_or_not_at_all(states, aim):
    pods = [
        pod(name, phase="Running" if runs else "Pending")
        for name, (_, runs, _) in zip(names(len(states)), states, strict=True)
    ]
    used = {f"p{number}": f"{use}m" for number, (use, _, known) in enumerate(states) if known}
    target = Target(resource="cpu", utilization=aim)
    try:
        found = proposed(pods, used, target)
    except NotKnown:
        return
    counted = [use for use, runs, known in states if runs and known]
    ratio = sum(counted) / (10 * aim * len(counted))
    if ratio > 1:
        assert found.replicas >= len(pods) or not all(runs for _, runs, _ in states)
    else:
        assert found.replicas <= len(pods)


def bounds(current, *, least=1, most=100, behavior=None, history=None):
    given_behavior = None
    if behavior is not None:
        document = {"spec": {"maxReplicas": 1, "behavior": behavior}}
        given_behavior = defaults.apply(json.from_builtins(document, HorizontalPodAutoscaler)).spec.behavior
    return Bounds(current=current, least=least, most=most, behavior=given_behavior, history=history or History())


def test_without_a_behaviour_it_at_most_doubles_or_goes_to_four():
    assert follow(50, bounds(1), 0).replicas == 4
    verdict = follow(50, bounds(10), 0)
    assert (verdict.replicas, verdict.is_limited, verdict.limited[0]) == (20, True, "ScaleUpLimit")
    assert follow(50, bounds(10, most=15), 0).limited[0] == "TooManyReplicas"


def test_scaling_down_waits_for_five_minutes_of_agreement():
    history = History(proposals=(At(0.0, 8),))
    early = follow(2, bounds(8, history=history), 299)
    assert (early.replicas, early.stabilized[0]) == (8, "ScaleDownStabilized")
    late = follow(2, bounds(8, history=history), 301)
    assert (late.replicas, late.stabilized[0]) == (2, "ReadyForNewScale")
    assert follow(0, bounds(3, least=2), 0).limited[0] == "TooFewReplicas"


def test_policies_limit_by_pods_and_percent_within_their_periods():
    policies = [
        {"type": "Pods", "value": 4, "periodSeconds": 60},
        {"type": "Percent", "value": 10, "periodSeconds": 60},
    ]
    most = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": policies}}
    assert follow(1, bounds(80, behavior=most), 0).replicas == 72
    assert follow(1, bounds(20, behavior=most), 0).replicas == 16
    least = {"scaleDown": {"stabilizationWindowSeconds": 0, "policies": policies, "selectPolicy": "Min"}}
    assert follow(1, bounds(80, behavior=least), 0).replicas == 76
    done = History(downs=(At(0.0, 4),))
    assert follow(1, bounds(76, behavior=least, history=done), 30).replicas == 76
    assert follow(1, bounds(76, behavior=least, history=done), 61).replicas == 72
    never = {"scaleDown": {"selectPolicy": "Disabled", "stabilizationWindowSeconds": 0}}
    assert follow(1, bounds(80, behavior=never), 0).replicas == 80


def test_a_window_for_scaling_up_takes_the_lowest_proposal():
    behavior = {"scaleUp": {"stabilizationWindowSeconds": 60}}
    history = History(proposals=(At(0.0, 5),))
    verdict = follow(9, bounds(4, behavior=behavior, history=history), 30)
    assert (verdict.replicas, verdict.stabilized[0]) == (5, "ScaleUpStabilized")


events = st.lists(st.builds(At, st.floats(0, 900), st.integers(1, 50)), max_size=6).map(tuple)
rules = st.fixed_dictionaries(
    {
        "stabilizationWindowSeconds": st.integers(0, 600),
        "selectPolicy": st.sampled_from(("Min", "Max", "Disabled")),
        "policies": st.lists(
            st.fixed_dictionaries(
                {
                    "type": st.sampled_from(("Pods", "Percent")),
                    "value": st.integers(1, 100),
                    "periodSeconds": st.integers(1, 600),
                }
            ),
            min_size=1,
            max_size=3,
        ),
    }
)


@given(
    st.integers(0, 120),
    st.integers(1, 100),
    st.none() | st.fixed_dictionaries({"scaleUp": rules, "scaleDown": rules}),
    st.builds(History, proposals=events, ups=events, downs=events),
)
def test_it_never_leaves_the_bounds_nor_goes_past_what_was_proposed(wanted, current, behavior, history):
    verdict = follow(wanted, bounds(current, most=100, behavior=behavior, history=history), 1000.0)
    assert 1 <= verdict.replicas <= 100
    if behavior is not None:
        low, high = min(max(wanted, 1), current), max(min(wanted, 100), current)
        assert low <= verdict.replicas <= high


def autoscaler(**spec):
    document = {
        "metadata": {"name": "web", "namespace": "d", "generation": 3},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "maxReplicas": 10,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}},
                }
            ],
            **spec,
        },
    }
    return defaults.apply(json.from_builtins(document, HorizontalPodAutoscaler))


def world(replicas=3, use="1", *, known=True, **spec):
    document = {"spec": {"replicas": replicas}, "status": {"replicas": replicas, "selector": "app=web"}}
    return World(
        autoscaler=autoscaler(**spec),
        scale=json.from_builtins(document, Scale),
        pods=tuple(pod(name) for name in names(replicas)),
        metrics=tuple(metrics(name, use) for name in names(replicas)) if known else (),
        now=NOW,
        now_s=5000.0,
    )


def conditions(plan):
    return {each.type: (each.status, each.reason) for each in plan.autoscaler.status.conditions}


def test_it_scales_up_and_says_why():
    plan = decide(world())
    assert plan.replicas == 6
    assert [(note.reason, note.message) for note in plan.notes] == [
        ("SuccessfulRescale", "New size: 6; reason: cpu resource utilization (percentage of request) above target")
    ]
    assert conditions(plan) == {
        "AbleToScale": ("True", "SucceededRescale"),
        "ScalingActive": ("True", "ValidMetricFound"),
        "ScalingLimited": ("False", "DesiredWithinRange"),
    }
    status = plan.autoscaler.status
    assert (status.current_replicas, status.desired_replicas, status.last_scale_time) == (3, 6, NOW)
    current = status.current_metrics[0].resource.current
    assert (current.average_utilization, str(current.average_value)) == (100, "1")


def test_what_is_right_stays():
    plan = decide(world(use="500m"))
    assert plan.replicas is None and not plan.notes
    assert conditions(plan)["AbleToScale"] == ("True", "ReadyForNewScale")


def test_bounds_come_before_metrics():
    assert decide(world(12, known=False)).replicas == 10
    assert decide(world(1, known=False, minReplicas=2)).replicas == 2
    stopped = decide(world(0, known=False))
    assert stopped.replicas is None and conditions(stopped)["ScalingActive"] == ("False", "ScalingDisabled")


def test_without_metrics_it_does_nothing_and_says_so():
    plan = decide(world(known=False))
    assert plan.replicas is None
    assert conditions(plan)["ScalingActive"] == ("False", "FailedGetResourceMetric")
    assert [note.reason for note in plan.notes] == ["FailedGetResourceMetric", "FailedComputeMetricsReplicas"]
    assert plan.notes[1].message.startswith("invalid metrics (1 invalid out of 1), first error is: failed to get cpu")


def test_a_target_that_is_not_there():
    given = world()
    lost = World(autoscaler=given.autoscaler, scale=None, problem="not found", now=NOW, now_s=0.0)
    assert conditions(decide(lost))["AbleToScale"] == ("False", "FailedGetScale")


def test_a_refused_change_leaves_no_trace_in_the_history():
    given = world()
    plan = failed(given, decide(given), "no")
    assert conditions(plan)["AbleToScale"] == ("False", "FailedUpdateScale")
    assert plan.history.ups == () and plan.autoscaler.status.last_scale_time is None


def test_bad_autoscalers():
    def problems(**spec):
        return [str(each) for each in validation.validate(autoscaler(**spec))]

    assert problems() == []
    assert problems(maxReplicas=1, minReplicas=3) == [
        "spec.maxReplicas: Invalid value: 1: must be greater than or equal to `minReplicas`"
    ]
    assert problems(scaleTargetRef={"kind": "Deployment"}) == ["spec.scaleTargetRef.name: Required value"]
    assert "must populate information" in problems(metrics=[{"type": "Resource"}])[0]
