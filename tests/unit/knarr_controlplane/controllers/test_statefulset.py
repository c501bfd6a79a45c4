"""What a StatefulSet does next: in order, and never two pods of one name."""

from __future__ import annotations

import datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knarr_api import defaults
from knarr_api.types.apps_v1 import (
    RollingUpdateStatefulSetStrategy,
    StatefulSet,
    StatefulSetOrdinals,
    StatefulSetPersistentVolumeClaimRetentionPolicy,
    StatefulSetSpec,
    StatefulSetUpdateStrategy,
)
from knarr_api.types.core_v1 import (
    Container,
    PersistentVolumeClaim,
    PersistentVolumeClaimSpec,
    Pod,
    PodCondition,
    PodSpec,
    PodStatus,
    PodTemplateSpec,
)
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_controlplane.controllers.statefulset import claims, identity
from knarr_controlplane.controllers.statefulset.decide import World, decide

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.UTC)
READY = PodCondition(type="Ready", status="True", last_transition_time=NOW)
replace = msgspec.structs.replace


def db(replicas=3, *, name="db", image="db:1", partition=0, max_unavailable=1, **spec):
    template = PodTemplateSpec(
        metadata=ObjectMeta(labels={"app": "db"}), spec=PodSpec(containers=(Container(name="c", image=image),))
    )
    rolling = RollingUpdateStatefulSetStrategy(partition=partition, max_unavailable=max_unavailable)
    return defaults.apply(
        StatefulSet(
            metadata=ObjectMeta(name=name, namespace="default", uid="sts-uid", generation=1),
            spec=StatefulSetSpec(
                replicas=replicas,
                selector=LabelSelector(match_labels={"app": "db"}),
                template=template,
                update_strategy=StatefulSetUpdateStrategy(type="RollingUpdate", rolling_update=rolling),
                **spec,
            ),
        )
    )


@pytest.mark.parametrize(
    ("name", "ordinal"),
    [("db-0", 0), ("db-12", 12), ("db-01", None), ("db-", None), ("db", None), ("db-x", None), ("other-1", None)],
)
def test_ordinals_are_read_from_names(name, ordinal):
    assert identity.ordinal_of(Pod(metadata=ObjectMeta(name=name)), db()) == ordinal


def test_orphans_of_other_names_are_not_adopted():
    stranger = Pod(metadata=ObjectMeta(name="x", namespace="default", labels={"app": "db"}))
    own = Pod(metadata=ObjectMeta(name="db-1", namespace="default", labels={"app": "db"}))
    plan = decide(World(stateful=db(), pods=(stranger, own), now=NOW))
    assert plan.adopt == (own,)


CLAIM = PersistentVolumeClaim(
    metadata=ObjectMeta(name="data"), spec=PersistentVolumeClaimSpec(access_modes=("ReadWriteOnce",))
)


def test_claims_come_before_pods_and_only_once():
    owner = db(1, volume_claim_templates=(CLAIM,))
    plan = decide(World(stateful=owner, pods=(), now=NOW))
    assert [claim.metadata.name for claim in plan.create_claims] == ["data-db-0"]
    present = {claim.metadata.name: claim for claim in plan.create_claims}
    assert decide(World(stateful=owner, pods=(), claims=present, now=NOW)).create_claims == ()


@pytest.mark.parametrize(
    ("scaled", "deleted", "kept", "condemned"),
    [
        ("Retain", "Retain", [], []),
        ("Retain", "Delete", ["StatefulSet"], ["StatefulSet"]),
        ("Delete", "Retain", [], ["Pod"]),
        ("Delete", "Delete", ["StatefulSet"], ["Pod"]),
    ],
)
def test_who_owns_a_claim(scaled, deleted, kept, condemned):
    policy = StatefulSetPersistentVolumeClaimRetentionPolicy(when_scaled=scaled, when_deleted=deleted)
    owner = db(1, volume_claim_templates=(CLAIM,), persistent_volume_claim_retention_policy=policy)
    pod = Pod(metadata=ObjectMeta(name="db-0", uid="pod-uid"))
    claim = PersistentVolumeClaim(metadata=ObjectMeta(name="data-db-0"))
    for is_condemned, expected in ((False, kept), (True, condemned), (False, kept)):
        changed = claims.changed(owner, pod, {"data-db-0": claim}, condemned=is_condemned)
        claim = changed[0] if changed else claim
        assert [reference.kind for reference in claim.metadata.owner_references] == expected
        assert claims.changed(owner, pod, {"data-db-0": claim}, condemned=is_condemned) == ()


DELETES = StatefulSetPersistentVolumeClaimRetentionPolicy(when_scaled="Delete", when_deleted="Delete")


def test_no_pod_is_made_beside_a_claim_that_goes_with_the_one_before():
    owner = db(2, volume_claim_templates=(CLAIM,), persistent_volume_claim_retention_policy=DELETES)
    before = Pod(metadata=ObjectMeta(name="db-0", uid="before"))
    made = {claim.metadata.name: claim for name in ("db-0", "db-1") for claim in claims.missing(owner, name, {})}
    (scaled,) = claims.changed(owner, before, made, condemned=True)
    plan = decide(World(stateful=owner, pods=(), claims={**made, "data-db-0": scaled}, now=NOW))
    assert (plan.create, plan.create_claims) == ((), ()) and plan.again_after_s
    del made["data-db-0"]
    plan = decide(World(stateful=owner, pods=(), claims=made, now=NOW))
    assert [pod.metadata.name for pod in plan.create] == ["db-0"]
    assert [claim.metadata.name for claim in plan.create_claims] == ["data-db-0"]


def test_a_claim_that_goes_with_the_set_is_owned_from_the_start():
    owner = db(1, volume_claim_templates=(CLAIM,), persistent_volume_claim_retention_policy=DELETES)
    (claim,) = decide(World(stateful=owner, pods=(), now=NOW)).create_claims
    assert [(each.kind, each.uid) for each in claim.metadata.owner_references] == [("StatefulSet", "sts-uid")]
    assert claims.changed(owner, Pod(metadata=ObjectMeta(name="db-0")), {"data-db-0": claim}, condemned=False) == ()


class Life:
    """A StatefulSet and its pods; plans are carried out, nodes start and end pods as they like."""

    def __init__(self, owner):
        self.owner = owner
        self.pods = {}
        self.revisions = {}
        self.serial = 0

    def world(self):
        return World(
            stateful=self.owner, pods=tuple(self.pods.values()), revisions=tuple(self.revisions.values()), now=NOW
        )

    def step(self):
        plan = decide(self.world())
        assert plan == decide(self.world())
        if plan.history is not None and (plan.history.create or plan.history.renumber):
            current = plan.history.current
            self.revisions[current.metadata.name] = replace(current, metadata=replace(current.metadata, uid="r"))
        for revision in plan.forget:
            del self.revisions[revision.metadata.name]
        for pod in plan.delete:
            self.delete(pod.metadata.name)
        for pod in plan.create:
            assert pod.metadata.name not in self.pods
            self.serial += 1
            self.pods[pod.metadata.name] = replace(pod, metadata=replace(pod.metadata, uid=f"u{self.serial}"))
        self.owner = replace(self.owner, status=plan.status)
        return plan

    def delete(self, name):
        pod = self.pods[name]
        self.pods[name] = replace(pod, metadata=replace(pod.metadata, deletion_timestamp=NOW))

    def advance(self, number):
        """One pod gets on: it goes, or becomes ready."""
        if self.pods:
            name = sorted(self.pods)[number % len(self.pods)]
            if self.pods[name].metadata.deletion_timestamp is not None:
                del self.pods[name]
            else:
                self.pods[name] = replace(self.pods[name], status=PodStatus(phase="Running", conditions=(READY,)))

    def fail(self, number):
        if self.pods:
            name = sorted(self.pods)[number % len(self.pods)]
            self.pods[name] = replace(self.pods[name], status=PodStatus(phase="Failed"))

    def ready(self):
        return [pod for pod in self.pods.values() if READY in pod.status.conditions]


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.integers(0, 9)),
        st.tuples(st.just("advance"), st.integers(0, 9)),
        st.tuples(st.just("fail"), st.integers(0, 9)),
        st.tuples(st.just("scale"), st.integers(0, 5)),
        st.tuples(st.just("image"), st.sampled_from(["db:1", "db:2", "db:3"])),
        st.tuples(st.just("start"), st.integers(0, 3)),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(EVENTS, st.sampled_from(["OrderedReady", "Parallel"]), st.integers(1, 3))
def test_it_gets_there_whatever_happens(events, policy, max_unavailable):
    life = Life(db(3, pod_management_policy=policy, max_unavailable=max_unavailable))
    for what, value in events:
        spec = life.owner.spec
        match what:
            case "advance":
                life.advance(value)
            case "fail":
                life.fail(value)
            case "scale":
                spec = replace(spec, replicas=value)
            case "start":
                spec = replace(spec, ordinals=StatefulSetOrdinals(start=value))
            case "image":
                inner = replace(spec.template.spec, containers=(Container(name="c", image=value),))
                spec = replace(spec, template=replace(spec.template, spec=inner))
        life.owner = replace(life.owner, spec=spec)
        plan = life.step()
        if policy == "OrderedReady":
            assert len(plan.create) <= 1
    for number in range(300):
        life.advance(number)
        life.step()
    first = identity.start(life.owner)
    wanted = [f"db-{ordinal}" for ordinal in range(first, first + life.owner.spec.replicas)]
    assert sorted(life.pods) == sorted(wanted)
    status = life.owner.status
    assert {pod.metadata.labels["controller-revision-hash"] for pod in life.pods.values()} <= {status.update_revision}
    assert status.current_revision == status.update_revision
    plan = life.step()
    assert not (plan.create or plan.delete or plan.adopt or plan.release or plan.identify)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 6), st.integers(0, 6), st.integers(1, 3), st.lists(st.integers(0, 9), max_size=60))
def test_a_rollout_stays_within_its_limits(replicas, partition, max_unavailable, order):
    life = Life(db(replicas, partition=partition, max_unavailable=max_unavailable, pod_management_policy="Parallel"))
    for number in range(40):
        life.step()
        life.advance(number)
    inner = replace(life.owner.spec.template.spec, containers=(Container(name="c", image="db:2"),))
    template = replace(life.owner.spec.template, spec=inner)
    life.owner = replace(life.owner, spec=replace(life.owner.spec, template=template))
    for number in order:
        life.step()
        serving = [pod for pod in life.ready() if pod.metadata.deletion_timestamp is None]
        assert len(serving) >= replicas - max_unavailable
        life.advance(number)
    below = [pod for name, pod in life.pods.items() if int(name[3:]) < partition]
    assert {pod.spec.containers[0].image for pod in below} <= {"db:1"}


def test_what_serves_nobody_goes_at_once_and_counts():
    """Found by the simulation: it went with an available one beside it, and nobody served."""
    life = Life(db(2, pod_management_policy="Parallel"))
    life.step()
    life.advance(0)
    inner = replace(life.owner.spec.template.spec, containers=(Container(name="c", image="db:2"),))
    template = replace(life.owner.spec.template, spec=inner)
    life.owner = replace(life.owner, spec=replace(life.owner.spec, template=template))
    assert [pod.metadata.name for pod in life.step().delete] == ["db-1"]
