"""Defaults and bounds of LimitRanges, in Kubernetes' words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_api import defaults, json, validation
from knarr_api.errors import Forbidden
from knarr_api.types.core_v1 import LimitRange, PersistentVolumeClaim, Pod
from knarr_controlplane.quota import limit_ranges


def limits(**item):
    document = {"metadata": {"name": "l", "namespace": "d"}, "spec": {"limits": [{"type": "Container", **item}]}}
    return defaults.apply(json.from_builtins(document, LimitRange))


def pod(*containers, init=()):
    def made(resources, name):
        return {"name": name, "image": "web:1", "resources": resources}

    spec = {
        "containers": [made(resources, f"c{index}") for index, resources in enumerate(containers)],
        "initContainers": [made(resources, f"i{index}") for index, resources in enumerate(init)],
    }
    return json.from_builtins({"metadata": {"name": "p", "namespace": "d"}, "spec": spec}, Pod)


def resources(obj):
    return json.to_builtins(obj.spec.containers[0].resources)


def test_what_is_left_open_is_filled_in_and_noted():
    ranges = [limits(default={"cpu": "500m", "memory": "1Gi"}, defaultRequest={"cpu": "100m"})]
    made = limit_ranges.limited(pod({}, {"limits": {"cpu": "2"}}, init=[{}]), ranges)
    assert resources(made) == {
        "requests": {"cpu": "100m", "memory": "1Gi"},
        "limits": {"cpu": "500m", "memory": "1Gi"},
    }
    second = json.to_builtins(made.spec.containers[1].resources)
    assert second == {"requests": {"cpu": "2", "memory": "1Gi"}, "limits": {"cpu": "2", "memory": "1Gi"}}
    assert made.metadata.annotations["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu, memory request for container c0; cpu, memory limit for container c0; "
        "memory request for container c1; memory limit for container c1; "
        "cpu, memory request for init container i0; cpu, memory limit for init container i0"
    )


def test_a_maximum_is_the_default_limit_and_request():
    made = limit_ranges.limited(pod({}), [limits(max={"cpu": "1"}, min={"memory": "64Mi"})])
    assert resources(made) == {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "1"}}


@pytest.mark.parametrize(
    ("item", "given", "text"),
    [
        ({"min": {"cpu": "1"}}, {}, "minimum cpu usage per Container is 1.  No request is specified"),
        (
            {"min": {"cpu": "1"}},
            {"requests": {"cpu": "500m"}},
            "minimum cpu usage per Container is 1, but request is 500m",
        ),
        ({"max": {"memory": "1Gi"}}, {}, "maximum memory usage per Container is 1Gi.  No limit is specified"),
        (
            {"max": {"memory": "1Gi"}},
            {"limits": {"memory": "2Gi"}},
            "maximum memory usage per Container is 1Gi, but limit is 2Gi",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"requests": {"cpu": "1"}, "limits": {"cpu": "3"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            {"maxLimitRequestRatio": {"cpu": "2"}},
            {"limits": {"cpu": "3"}},
            "cpu max limit to request ratio per Container is 2, but no request is specified or request is 0",
        ),
    ],
)
def test_what_is_out_of_range_is_refused(item, given, text):
    document = {"metadata": {"name": "l"}, "spec": {"limits": [{"type": "Container", **item}]}}
    with pytest.raises(Forbidden) as refused:
        limit_ranges.check(pod(given), [json.from_builtins(document, LimitRange)])
    assert str(refused.value) == f'pods "p" is forbidden: {text}'


def test_a_pod_is_counted_with_its_init_containers():
    range_ = limits(type="Pod", max={"cpu": "2"})
    fits = pod({"limits": {"cpu": "1"}}, {"limits": {"cpu": "1"}}, init=[{"limits": {"cpu": "2"}}])
    limit_ranges.check(fits, [range_])
    with pytest.raises(Forbidden, match="maximum cpu usage per Pod is 2, but limit is 3"):
        limit_ranges.check(pod({"limits": {"cpu": "1"}}, init=[{"limits": {"cpu": "3"}}]), [range_])


def test_claims_have_ranges_of_their_own():
    claim = json.from_builtins(
        {"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "5Gi"}}}}, PersistentVolumeClaim
    )
    with pytest.raises(Forbidden, match="maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 5Gi"):
        limit_ranges.check(claim, [limits(type="PersistentVolumeClaim", max={"storage": "2Gi"})])


amounts = st.dictionaries(st.sampled_from(("cpu", "memory")), st.integers(0, 4).map(str))
items = st.fixed_dictionaries({"default": amounts, "defaultRequest": amounts})


@given(st.lists(items, max_size=3), amounts)
def test_defaults_change_nothing_that_is_given_and_nothing_twice(ranges, given_limits):
    made = [limits(**item) for item in ranges]
    once = limit_ranges.limited(pod({"limits": given_limits}), made)
    assert limit_ranges.limited(once, made) == once
    assert {name: str(once.spec.containers[0].resources.limits[name]) for name in given_limits} == given_limits


def test_bounds_that_contradict_each_other_are_refused():
    problems = [str(each) for each in validation.validate(limits(min={"cpu": "2"}, max={"cpu": "1"}))]
    assert 'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1' in problems
