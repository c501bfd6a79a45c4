"""What users do beside Deployments, Jobs and pods: StatefulSets, DaemonSets, CronJobs, evictions, quotas."""

from __future__ import annotations

import random
from dataclasses import dataclass

from knarr_api.quantity import Quantity
from knarr_api.types.apps_v1 import (
    DaemonSet,
    DaemonSetSpec,
    DaemonSetUpdateStrategy,
    RollingUpdateDaemonSet,
    StatefulSet,
    StatefulSetSpec,
)
from knarr_api.types.batch_v1 import CronJob, CronJobSpec, JobSpec, JobTemplateSpec
from knarr_api.types.core_v1 import (
    Container,
    Namespace,
    Pod,
    PodSpec,
    PodTemplateSpec,
    ResourceQuota,
    ResourceQuotaSpec,
    ResourceRequirements,
)
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_api.types.policy_v1 import PodDisruptionBudget, PodDisruptionBudgetSpec
from tests.simulation import claims
from tests.simulation.moment import IMAGES, WARM_UP_S, Event

NAMESPACE = "default"
LIMITED = "limited"
"""A namespace with a quota."""
LONG_S = 75.0
"""How long the container ``long`` runs: longer than a schedule's minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateStatefulSet(Event):
    """when_scaled, when_deleted: what becomes of its claims then; empty where it has none."""

    name: str
    replicas: int
    parallel: bool
    when_scaled: str = ""
    when_deleted: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateDaemonSet(Event):
    name: str
    max_unavailable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateCronJob(Event):
    """Each minute. long: a run takes longer than that."""

    name: str
    policy: str
    long: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspendCronJob(Event):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateBudget(Event):
    """Of the pods of a Deployment."""

    name: str
    of: str
    min_available: int | None
    max_unavailable: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evict(Event):
    """Some pod of a Deployment is asked to go; whole_node: and all others of its node at the same time."""

    number: int
    whole_node: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateLimited(Event):
    """A namespace with a quota of pods, and more pods than that, all at once."""

    name: str
    pods: int
    asked: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteLimited(Event):
    """The namespace, with all that is in it."""

    name: str


def spans(chance: random.Random) -> tuple[float, bool]:
    """For how long things happen, and whether a CronJob is among them, which has its minutes."""
    if chance.random() < 0.1:
        return chance.uniform(60.0, 130.0), True
    return chance.uniform(15.0, 45.0), False


def first_actions(chance: random.Random, span_s: float, *, deployments: int, minutes: bool) -> list[Event]:
    """Each object is made, changed by ``plan``'s events, and perhaps deleted."""

    def some_time() -> float:
        return WARM_UP_S + chance.random() * span_s

    events: list[Event] = []
    if chance.random() < 0.5:
        replicas, parallel = chance.randint(1, 4), chance.random() < 0.4
        at_s = WARM_UP_S + 5.0 * chance.random()
        events.append(CreateStatefulSet(at_s=at_s, name="db-0", replicas=replicas, parallel=parallel))
    if chance.random() < 0.25:
        events.append(CreateDaemonSet(at_s=some_time(), name="each-0", max_unavailable=chance.randint(1, 2)))
    if minutes:
        policy = chance.choice(("Forbid", "Replace", "Allow"))
        at_s = WARM_UP_S + 10.0 * chance.random()
        events.append(CreateCronJob(at_s=at_s, name="cron-0", policy=policy, long=chance.random() < 0.7))
        events.append(SuspendCronJob(at_s=WARM_UP_S + span_s, name="cron-0"))
    if chance.random() < 0.4:
        count = chance.randint(0, 4)
        least, most = (count, None) if chance.random() < 0.5 else (None, count)
        of = f"web-{chance.randrange(deployments)}"
        events.append(
            CreateBudget(at_s=WARM_UP_S + 6.0, name="budget", of=of, min_available=least, max_unavailable=most)
        )
        for _ in range(chance.randint(1, 6)):
            whole = chance.random() < 0.5
            events.append(Evict(at_s=some_time(), number=chance.randint(0, 20), whole_node=whole))
    if chance.random() < 0.15:
        first, last = sorted((some_time(), some_time()))
        pods = chance.randint(1, 4)
        events.append(CreateLimited(at_s=first, name=LIMITED, pods=pods, asked=pods + chance.randint(1, 4)))
        if chance.random() < 0.3:
            events.append(DeleteLimited(at_s=last, name=LIMITED))
    return events


def template(name: str, *, cpu_m: int, container: str = "main") -> PodTemplateSpec:
    resources = ResourceRequirements(requests={"cpu": Quantity(f"{cpu_m}m")})
    main = Container(name=container, image=IMAGES[0], resources=resources)
    spec = PodSpec(containers=(main,), termination_grace_period_seconds=2)
    return PodTemplateSpec(metadata=ObjectMeta(labels={"app": name}), spec=spec)


def stateful_set(event: CreateStatefulSet) -> StatefulSet:
    spec = StatefulSetSpec(
        replicas=event.replicas,
        selector=LabelSelector(match_labels={"app": event.name}),
        service_name=event.name,
        pod_management_policy="Parallel" if event.parallel else "OrderedReady",
        template=template(event.name, cpu_m=100, container="slow"),
    )
    if event.when_scaled:
        spec = claims.with_claims(spec, event.when_scaled, event.when_deleted)
    return StatefulSet(metadata=ObjectMeta(name=event.name, namespace=NAMESPACE), spec=spec)


def daemon_set(event: CreateDaemonSet) -> DaemonSet:
    rolling = RollingUpdateDaemonSet(max_unavailable=event.max_unavailable)
    return DaemonSet(
        metadata=ObjectMeta(name=event.name, namespace=NAMESPACE),
        spec=DaemonSetSpec(
            selector=LabelSelector(match_labels={"app": event.name}),
            update_strategy=DaemonSetUpdateStrategy(type="RollingUpdate", rolling_update=rolling),
            template=template(event.name, cpu_m=50),
        ),
    )


def cron_job(event: CreateCronJob) -> CronJob:
    container = Container(name="long" if event.long else "work", image=IMAGES[0])
    pod = PodTemplateSpec(spec=PodSpec(containers=(container,), restart_policy="OnFailure"))
    return CronJob(
        metadata=ObjectMeta(name=event.name, namespace=NAMESPACE),
        spec=CronJobSpec(
            schedule="* * * * *",
            concurrency_policy=event.policy,
            job_template=JobTemplateSpec(spec=JobSpec(template=pod, backoff_limit=1000)),
        ),
    )


def budget(event: CreateBudget) -> PodDisruptionBudget:
    return PodDisruptionBudget(
        metadata=ObjectMeta(name=event.name, namespace=NAMESPACE),
        spec=PodDisruptionBudgetSpec(
            min_available=event.min_available,
            max_unavailable=event.max_unavailable,
            selector=LabelSelector(match_labels={"app": event.of}),
        ),
    )


def namespace(name: str) -> Namespace:
    return Namespace(metadata=ObjectMeta(name=name))


def quota(event: CreateLimited) -> ResourceQuota:
    metadata = ObjectMeta(name="quota", namespace=event.name)
    return ResourceQuota(metadata=metadata, spec=ResourceQuotaSpec(hard={"pods": Quantity(str(event.pods))}))


def limited_pod(event: CreateLimited, number: int) -> Pod:
    spec = PodSpec(containers=(Container(name="main", image=IMAGES[0]),), termination_grace_period_seconds=2)
    return Pod(metadata=ObjectMeta(name=f"limited-{number}", namespace=event.name), spec=spec)
