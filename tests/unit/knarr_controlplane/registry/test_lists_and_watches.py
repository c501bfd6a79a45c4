"""Lists at a revision, tokens that have expired, watches that begin with what is there, selectors by field."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from knarr_api import errors, kinds
from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import ReplicaSet, ReplicaSetSpec
from knarr_api.types.core_v1 import ConfigMap, Container, Pod, PodSpec, PodTemplateSpec, ServiceAccount
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus
from knarr_controlplane.cache.changes import ChangeType, Filter
from knarr_controlplane.registry import subresources
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.pages import Wanted
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.registry.scale import replace

CONFIG, POD, REPLICA_SET = kinds.of(ConfigMap), kinds.of(Pod), kinds.of(ReplicaSet)
EVERYTHING = Filter()


def config(name: str, **labels: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="default", labels=labels))


def pod(name: str, **spec: Any) -> Pod:
    metadata = ObjectMeta(name=name, namespace="default", labels={"app": "web"})
    return Pod(metadata=metadata, spec=PodSpec(containers=(Container(name="c", image="i"),), **spec))


def names(page: Any) -> list[str]:
    return [entry.name for entry in page.entries]


async def test_a_list_at_an_earlier_revision(registry: Registry) -> None:
    await registry.create(config("a"))
    at = str(registry.cache.revision)
    await registry.create(config("b"))
    await registry.delete(CONFIG, "default", "a")
    assert names(registry.list(CONFIG, EVERYTHING, Wanted(resource_version=at, match="Exact"))) == ["a"]
    assert names(registry.list(CONFIG, EVERYTHING, Wanted(resource_version=at))) == ["b"]
    registry.cache.forget(registry.cache.revision)
    with pytest.raises(errors.Expired, match="too old"):
        registry.list(CONFIG, EVERYTHING, Wanted(resource_version=at, match="Exact"))


async def test_a_list_waits_for_a_revision_that_is_not_there_yet(registry: Registry) -> None:
    with pytest.raises(errors.DeadlineExceeded, match="Too large resource version"):
        await registry.not_older(str(registry.cache.revision + 10**9))
    await registry.not_older(str(registry.cache.revision))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(limit=-1), "limit: Invalid value"),
        (Wanted(match="Exact"), "forbidden unless resourceVersion is provided"),
        (Wanted(match="Newest", resource_version="1"), "resourceVersionMatch: Unsupported value"),
        (Wanted(match="Exact", resource_version="0"), 'forbidden for resourceVersion "0"'),
        (Wanted(continue_="x", match="Exact", resource_version="1"), "forbidden when continue is provided"),
        (Wanted(continue_="x", resource_version="1"), "not allowed when using continue"),
        (Wanted(resource_version="x"), "must be a revision"),
    ],
)
async def test_what_does_not_fit_together(registry: Registry, wanted: Wanted, message: str) -> None:
    with pytest.raises(errors.Invalid, match=message):
        registry.list(CONFIG, EVERYTHING, wanted)


async def test_an_expired_token_comes_with_one_that_goes_on(registry: Registry) -> None:
    for number in range(4):
        await registry.create(config(f"c{number}"))
    first = registry.list(CONFIG, EVERYTHING, Wanted(limit=2))
    await registry.create(config("c2b"))
    registry.cache.forget(registry.cache.revision)
    with pytest.raises(errors.Expired) as expired:
        registry.list(CONFIG, EVERYTHING, Wanted(limit=2, continue_=first.continue_))
    (detail,) = expired.value.details
    assert detail.path == "metadata.continue"
    assert names(registry.list(CONFIG, EVERYTHING, Wanted(continue_=detail.message))) == ["c2", "c2b", "c3"]


class Counted(Selector):
    """Matches everything, and counts what it was asked."""

    asked = 0

    def matches(self, labels: Mapping[str, str]) -> bool:
        Counted.asked += 1
        return True


async def test_pages_of_one_list_are_of_one_revision_and_look_at_each_object_once(registry: Registry) -> None:
    for number in range(10):
        await registry.create(config(f"c{number}"))
    Counted.asked = 0
    filter_ = Filter(labels=Counted())
    page = registry.list(CONFIG, filter_, Wanted(limit=3))
    first, found = page, names(page)
    await registry.delete(CONFIG, "default", "c5")
    await registry.create(config("c6b"))
    while page.continue_:
        page = registry.list(CONFIG, filter_, Wanted(limit=3, continue_=page.continue_))
        assert page.revision == first.revision
        found += names(page)
    assert found == [f"c{number}" for number in range(10)]
    assert Counted.asked == 10
    again = registry.list(CONFIG, filter_, Wanted(limit=3, continue_=first.continue_))
    assert names(again) == ["c3", "c4", "c5"]


async def test_how_many_remain_is_not_said_where_a_selector_is(registry: Registry) -> None:
    for number in range(3):
        await registry.create(config(f"c{number}", app="web"))
    assert registry.list(CONFIG, EVERYTHING, Wanted(limit=1)).remaining == 2
    selected = filter_of(CONFIG, "", "app=web", "")
    page = registry.list(CONFIG, selected, Wanted(limit=1))
    assert (page.remaining, bool(page.continue_)) == (0, True)


async def test_a_watch_from_a_revision_may_begin_with_what_is_there(registry: Registry) -> None:
    await registry.create(config("a"))
    watching = registry.watch(CONFIG, EVERYTHING, str(registry.cache.revision), initial=True)
    first = await anext(watching)
    assert [change.type for change in first] == [ChangeType.ADDED, ChangeType.BOOKMARK]
    await registry.create(config("b"))
    (change,) = await anext(watching)
    assert change.entry is not None and change.entry.name == "b"


async def test_a_watch_may_begin_with_nothing(registry: Registry) -> None:
    await registry.create(config("a"))
    watching = registry.watch(CONFIG, EVERYTHING, "", initial=False)
    coming = asyncio.ensure_future(anext(watching))
    await asyncio.sleep(0)  # it watches from now on
    await registry.create(config("b"))
    (change,) = await coming
    assert change.entry is not None and change.entry.name == "b"


async def test_bookmarks_come_also_while_only_others_change(registry: Registry) -> None:
    registry.cache.bookmark_s = 0.02
    mine = filter_of(CONFIG, "", "app=mine", "")
    watching = registry.watch(CONFIG, mine, str(registry.cache.revision))
    coming = anext(watching)
    for number in range(200):
        await registry.create(config(f"c{number}", app="theirs"))
    (change,) = await coming
    assert change.type is ChangeType.BOOKMARK
    await watching.aclose()  # type: ignore[attr-defined]


async def test_fields_that_pods_are_selected_by(registry: Registry) -> None:
    await registry.create(ServiceAccount(metadata=ObjectMeta(name="robot", namespace="default")))
    await registry.create(pod("a", service_account_name="robot", host_network=True))
    await registry.create(pod("b"))
    for selector in ("spec.serviceAccountName=robot", "spec.hostNetwork=true"):
        assert names(registry.list(POD, filter_of(POD, "", "", selector))) == ["a"]
    with pytest.raises(errors.Invalid, match="field label not supported"):
        filter_of(POD, "", "", "spec.replicas=1")


async def test_fields_that_replica_sets_are_selected_by(registry: Registry) -> None:
    labels = {"app": "web"}
    template = PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=pod("x").spec)
    spec = ReplicaSetSpec(replicas=1, selector=LabelSelector(match_labels=labels), template=template)
    await registry.create(ReplicaSet(metadata=ObjectMeta(name="r", namespace="default"), spec=spec))
    assert names(registry.list(REPLICA_SET, filter_of(REPLICA_SET, "", "", "status.replicas=0"))) == ["r"]


async def test_deleting_a_collection_leaves_what_is_not_chosen(registry: Registry) -> None:
    for number in range(3):
        await registry.create(config(f"c{number}", app="web" if number else "db"))
    chosen = filter_of(CONFIG, "default", "app=web", "")
    shown = await subresources.delete_collection(registry, CONFIG, chosen, dry_run=True)
    assert names(shown) == ["c1", "c2"]
    assert names(await subresources.delete_collection(registry, CONFIG, chosen)) == ["c1", "c2"]
    assert names(registry.list(CONFIG, EVERYTHING)) == ["c0"]


# Evictions


async def budgeted(registry: Registry, **status: Any) -> None:
    spec = PodDisruptionBudgetSpec(selector=LabelSelector(match_labels={"app": "web"}), min_available=1)
    made = await registry.create(PodDisruptionBudget(metadata=ObjectMeta(name="b", namespace="default"), spec=spec))
    value = made.value()
    counts = PodDisruptionBudgetStatus(**{"observed_generation": 1, "desired_healthy": 1, **status})
    await registry.update(replace(value, status=counts), subresource="status")


async def running(registry: Registry, name: str, *, ready: bool = True) -> None:
    await registry.create(pod(name))
    await registry.bind("default", name, "", "n1")
    await run(registry, name, ready=ready)


async def run(registry: Registry, name: str, *, ready: bool = True) -> None:
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    await registry.patch(POD, "default", name, {"status": status}, subresource="status")


def budget(registry: Registry) -> PodDisruptionBudgetStatus:
    status: PodDisruptionBudgetStatus = registry.get(kinds.of(PodDisruptionBudget), "default", "b").value().status
    return status


async def test_an_eviction_takes_from_the_budget_and_says_so_in_the_pod(registry: Registry) -> None:
    await running(registry, "a")
    await running(registry, "b")
    await budgeted(registry, disruptions_allowed=1, current_healthy=2)
    await subresources.evict(registry, "default", "a", dry_run=True)
    assert budget(registry).disruptions_allowed == 1
    await subresources.evict(registry, "default", "a")
    assert (budget(registry).disruptions_allowed, set(budget(registry).disrupted_pods)) == (0, {"a"})
    gone = registry.get(POD, "default", "a").value()
    assert gone.metadata.deletion_timestamp is not None
    (condition,) = [each for each in gone.status.conditions if each.type == "DisruptionTarget"]
    assert condition.reason == "EvictionByEvictionAPI"
    with pytest.raises(errors.ResourceExhausted) as refused:
        await subresources.evict(registry, "default", "b")
    (cause,) = refused.value.details
    assert cause.kind == "DisruptionBudget"
    assert cause.message == "The disruption budget b needs 1 healthy pods and has 2 currently"


async def test_pods_that_serve_nobody_may_always_go(registry: Registry) -> None:
    await registry.create(pod("pending"))
    await budgeted(registry, disruptions_allowed=0, current_healthy=0)
    await subresources.evict(registry, "default", "pending")
    with pytest.raises(errors.NotFound):
        registry.get(POD, "default", "pending")


async def test_a_pod_that_becomes_ready_while_it_is_evicted_counts_again(registry: Registry) -> None:
    """Found by the simulation: it was let go as pending, and was ready when it was deleted."""
    await registry.create(pod("starting", node_name="n1"))
    await budgeted(registry, disruptions_allowed=0, current_healthy=0)
    becoming = asyncio.create_task(run(registry, "starting"))
    evicting = asyncio.create_task(subresources.evict(registry, "default", "starting"))
    await becoming
    with pytest.raises(errors.ResourceExhausted):
        await evicting
    assert registry.get(POD, "default", "starting").value().metadata.deletion_timestamp is None


async def test_a_pod_that_is_not_ready_may_go_while_enough_others_are(registry: Registry) -> None:
    await running(registry, "a", ready=False)
    await budgeted(registry, disruptions_allowed=0, current_healthy=1)
    await subresources.evict(registry, "default", "a")
    assert budget(registry).disrupted_pods == {}


async def test_a_budget_that_was_not_counted_yet_is_waited_for(registry: Registry) -> None:
    await running(registry, "a")
    await budgeted(registry, observed_generation=None, disruptions_allowed=1)
    with pytest.raises(errors.ResourceExhausted) as refused:
        await subresources.evict(registry, "default", "a")
    assert refused.value.retry_after_s == 10


async def test_evicting_another_pod_of_the_name_is_refused(registry: Registry) -> None:
    await running(registry, "a")
    with pytest.raises(errors.Conflict, match="UID in precondition"):
        await subresources.evict(registry, "default", "a", uid="other")
