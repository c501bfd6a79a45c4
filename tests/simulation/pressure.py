"""What users do to each other and to the scheduler: crowds in namespaces, quarrels about fields, taints, priorities,
Jobs that give up or need not all succeed, evictions of everything at once.

Their chance is their own: a seed that has none of them plays as if there were none.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from knarr_api import errors
from knarr_api.errors import KnarrError
from knarr_api.types.apps_v1 import Deployment
from knarr_api.types.batch_v1 import (
    Job,
    JobSpec,
    PodFailurePolicy,
    PodFailurePolicyOnExitCodesRequirement,
    PodFailurePolicyRule,
    SuccessPolicy,
    SuccessPolicyRule,
)
from knarr_api.types.core_v1 import ConfigMap, Container, Node, Pod, PodSpec, PodTemplateSpec, Taint, Toleration
from knarr_api.types.meta_v1 import ObjectMeta, OwnerReference
from knarr_api.types.scheduling_v1 import PriorityClass
from tests.simulation import load, troubles, workloads
from tests.simulation.moment import CPU_M, IMAGES, WARM_UP_S, WORK_S, Event

CROWD = "crowd"
"""A namespace that goes while others still make things in it."""
QUARREL = "quarrel"
"""A ConfigMap that several apply."""
OUT = "simulation.example/out"
"""A taint."""
PATIENCE_S = 6
"""How long Deployments' pods bear it; others don't."""
GIVES_UP = 42
"""The exit code of the container ``hopeless``."""
NAMESPACE = workloads.NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class EvictAll(Event):
    """All pods of a Deployment are asked to go at the same time."""

    of: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowd(Event):
    """A namespace into which several write until it is gone."""

    name: str
    writers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteCrowd(Event):
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarrel(Event):
    """Somebody applies a ConfigMap again and again: a field of their own, and sometimes one that all want."""

    name: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaintNode(Event):
    """Pods have to leave it."""

    name: str
    node: int
    for_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePriorityClass(Event):
    name: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePolicyJob(Event):
    """hopeless: its pods end with a code that the Job is given up for; else it is done when one has succeeded."""

    name: str
    hopeless: bool
    parallelism: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rival(Event):
    """Another scheduler: it makes a pod, and gives it a node at once, beside the cluster's own."""

    name: str
    nodes: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateStages(Event):
    """A pod of one node that runs once: three seconds to prepare itself, three for its work."""

    name: str
    node: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateShared(Event):
    """A ConfigMap that belongs to several Deployments: to those of them that are there then."""

    name: str
    owners: tuple[str, ...]


ACTIONS = (
    CreateShared,
    Rival,
    CreateStages,
    EvictAll,
    Crowd,
    DeleteCrowd,
    Quarrel,
    TaintNode,
    CreatePriorityClass,
    CreatePolicyJob,
    load.CreateAutoscaler,
)


DeploymentOf = Callable[[str, float, int, int, str], Event]
"""Makes the event of one: its name, when, replicas, thousandths of a core, priority class."""


def more(seed: int, events: Sequence[Event], span_s: float, nodes: int, deployment: DeploymentOf) -> list[Event]:
    """What comes to a plan's events."""
    chance = random.Random(f"pressure {seed}")

    def some_time() -> float:
        return WARM_UP_S + chance.random() * span_s

    found: list[Event] = []
    budgets = [event for event in events if isinstance(event, workloads.CreateBudget)]
    for budget in budgets:
        if chance.random() < 0.6:
            found += [EvictAll(at_s=some_time(), of=budget.of) for _ in range(chance.randint(1, 3))]
    if chance.random() < 0.12:
        first, last = sorted((some_time(), some_time()))
        found.append(Crowd(at_s=first, name=CROWD, writers=chance.randint(2, 4)))
        found.append(DeleteCrowd(at_s=max(last, first + 2.0), name=CROWD))
    if chance.random() < 0.12:
        for name in ("alice", "bob"):
            found.append(Quarrel(at_s=some_time(), name=name, times=chance.randint(4, 20)))
    if chance.random() < 0.12:
        for _ in range(chance.randint(1, 2)):
            node, for_s = chance.randrange(nodes), chance.choice((3.0, 9.0, 20.0))
            found.append(TaintNode(at_s=some_time(), name=f"taint-{node}", node=node, for_s=for_s))
    if chance.random() < 0.12:
        found += _classes(chance, span_s, nodes, deployment)
    for hopeless in (True, False):
        if chance.random() < 0.1:
            name = "hopeless" if hopeless else "enough"
            parallelism = chance.randint(1, 4)
            found.append(CreatePolicyJob(at_s=some_time(), name=name, hopeless=hopeless, parallelism=parallelism))
    if chance.random() < 0.1:
        made_s = WARM_UP_S + 5.0 * chance.random()
        found += [deployment(load.NAME, made_s, 1, load.CPU_M, ""), load.CreateAutoscaler(at_s=made_s, name="scaler")]
        for _ in range(chance.randint(1, 4)):
            found.append(load.Demand(at_s=some_time(), cpu_m=chance.choice(load.DEMANDS)))
    if chance.random() < 0.1:
        tried = tuple(chance.randrange(nodes) for _ in range(chance.randint(2, 6)))
        found.append(Rival(at_s=some_time(), name="rival", nodes=tried))
    if chance.random() < 0.15:
        for number in range(chance.randint(1, 3)):
            found += _stages(chance, some_time(), f"stages-{number}", chance.randrange(nodes))
    return found


def _stages(chance: random.Random, at_s: float, name: str, node: int) -> list[Event]:
    """Power is lost between the two, which the agent has not seen; or it is lost, with all that the node knew, when the
    pod has just ended."""
    made = CreateStages(at_s=at_s, name=name, node=node)
    down_s = chance.choice((0.5, 3.0, 12.0))
    if chance.random() < 0.5:
        away = troubles.RuntimeDown(at_s=at_s + chance.uniform(1.0, 2.9), node=node, for_s=4.0)
        lost_s = at_s + chance.uniform(3.1, 4.5)
        return [made, away, troubles.PowerLoss(at_s=lost_s, node=node, down_s=down_s, forgets=False)]
    lost_s = at_s + 2 * WORK_S + chance.uniform(0.0, 0.3)
    return [made, troubles.PowerLoss(at_s=lost_s, node=node, down_s=down_s, forgets=True)]


def _classes(chance: random.Random, span_s: float, nodes: int, deployment: DeploymentOf) -> list[Event]:
    """The cluster is filled with what matters little, and then something comes that matters. Both go again: all must
    fit in the end."""
    first = WARM_UP_S + span_s * 0.4 * chance.random()
    second = first + 1.0 + span_s * 0.5 * chance.random()
    filling = chance.choice((500, 900, 1500))
    count = min(40, nodes * CPU_M // filling)
    return [
        CreatePriorityClass(at_s=WARM_UP_S, name="low", value=-10),
        CreatePriorityClass(at_s=WARM_UP_S, name="vip", value=100),
        deployment("low-0", first, count, filling, "low"),
        deployment("vip-0", second, chance.randint(1, 2 * nodes), chance.choice((500, 1500)), "vip"),
    ]


def with_limit(event: workloads.CreateBudget) -> workloads.CreateBudget:
    """The same budget, of which something can be used up."""
    return replace(event, min_available=None, max_unavailable=1)


async def act(user: Callable[[str], Any], event: Event, told: Any) -> None:
    """user: somebody of that name, with ``client`` and ``insist``. told: what hears of what was acknowledged."""
    match event:
        case EvictAll():
            await _evict_all(user, event)
        case Crowd():
            me = user(event.name)
            await me.insist(lambda: _make(me.client, workloads.namespace(event.name)))
        case Quarrel():
            await _quarrel(user(event.name), event, told)
        case TaintNode():
            me, name = user(event.name), f"n{event.node}"
            await me.insist(lambda: _taint(me.client, name, here=True))
            await asyncio.sleep(event.for_s)
            await me.insist(lambda: _taint(me.client, name, here=False))
        case CreatePriorityClass():
            me = user(event.name)
            made = PriorityClass(metadata=ObjectMeta(name=event.name), value=event.value)
            await me.insist(lambda: _make(me.client, made))
        case load.CreateAutoscaler():
            me = user(event.name)
            await me.insist(lambda: _make(me.client, load.autoscaler(event)))
        case CreateShared():
            me = user(event.name)
            await me.insist(lambda: _share(me.client, event))
        case Rival():
            for number, node in enumerate(event.nodes):
                await _place(user(f"{event.name} {number}"), f"{event.name}-{number}", f"n{node}")
        case CreateStages():
            me = user(event.name)
            await me.insist(lambda: _make(me.client, stages(event)))
        case CreatePolicyJob():
            me = user(event.name)
            await me.insist(lambda: _make(me.client, policy_job(event)))
        case _:
            raise TypeError(f"{event} is no pressure")


async def _make(client: Any, obj: Any) -> None:
    with contextlib.suppress(errors.AlreadyExists):
        await client.create(obj)


async def _place(me: Any, name: str, node: str) -> None:
    """What is too late stays undone."""
    spec = PodSpec(containers=(Container(name="main", image=IMAGES[0]),), termination_grace_period_seconds=1)

    async def bind() -> None:
        with contextlib.suppress(errors.Conflict, errors.NotFound):
            await me.client.bind(namespace=NAMESPACE, name=name, uid="", node=node)

    await me.insist(lambda: _make(me.client, Pod(metadata=ObjectMeta(name=name, namespace=NAMESPACE), spec=spec)))
    await me.insist(bind)


async def _share(client: Any, event: CreateShared) -> None:
    owners = []
    for name in event.owners:
        with contextlib.suppress(errors.NotFound):
            found: Deployment = await client.get(Deployment, name, NAMESPACE)
            owners.append(OwnerReference(api_version="apps/v1", kind="Deployment", name=name, uid=found.metadata.uid))
    if owners:
        metadata = ObjectMeta(name=event.name, namespace=NAMESPACE, owner_references=tuple(owners))
        await _make(client, ConfigMap(metadata=metadata))


def stages(event: CreateStages) -> Pod:
    first, second = (Container(name=name, image=IMAGES[0]) for name in ("first", "work"))
    spec = PodSpec(containers=(second,), init_containers=(first,), restart_policy="Never", node_name=f"n{event.node}")
    return Pod(metadata=ObjectMeta(name=event.name, namespace=NAMESPACE), spec=spec)


async def _evict_all(user: Callable[[str], Any], event: EvictAll) -> None:
    """What a budget forbids stays undone, and what fails is not tried again."""
    with contextlib.suppress(KnarrError):
        pods = (await user("evicting").client.list(Pod, NAMESPACE, label_selector=f"app={event.of}")).items

        async def evict(pod: Pod) -> None:
            with contextlib.suppress(KnarrError):
                me = user(f"evicting {pod.metadata.name}")
                await me.client.evict(pod.metadata.name, NAMESPACE, uid=pod.metadata.uid)

        async with asyncio.TaskGroup() as group:
            for pod in pods:
                group.create_task(evict(pod))


async def crowd(user: Callable[[str], Any], event: Crowd) -> None:
    """Until the namespace goes."""
    async with asyncio.TaskGroup() as group:
        for number in range(event.writers):
            group.create_task(_write_into(user(f"{event.name} {number}"), event.name, number))


async def _write_into(me: Any, namespace: str, number: int) -> None:
    for count in range(40):
        metadata = ObjectMeta(name=f"crowd-{number}-{count}", namespace=namespace)
        made: Any = ConfigMap(metadata=metadata)
        if count % 4 == 3:
            spec = PodSpec(containers=(Container(name="main", image=IMAGES[0]),), termination_grace_period_seconds=1)
            made = Pod(metadata=metadata, spec=spec)
        if not await _made_there(me, made):
            return
        await asyncio.sleep(0.3)


async def _made_there(me: Any, obj: Any) -> bool:
    there = False

    async def make() -> None:
        nonlocal there
        with contextlib.suppress(errors.NotFound):
            await _make(me.client, obj)
            there = True

    with contextlib.suppress(errors.Forbidden):
        await me.insist(make)
    return there


async def _quarrel(me: Any, event: Quarrel, told: Any) -> None:
    chance = me.network.chance
    for count in range(1, event.times + 1):
        data = {event.name: str(count)}
        force = chance.random() < 0.2
        if chance.random() < 0.6:
            data["shared"] = f"{event.name} {count}{' by force' if force else ''}"
        document = {"metadata": {"name": QUARREL, "namespace": NAMESPACE}, "data": data}
        applied = False

        async def apply(document: dict[str, Any] = document, force: bool = force) -> None:
            nonlocal applied
            with contextlib.suppress(errors.Conflict):
                await me.client.apply_fields(document, manager=event.name, force=force)
                applied = True

        await me.insist(apply)
        if applied:
            told(event.name, count)
        await asyncio.sleep(0.2 + chance.random())


async def _taint(client: Any, name: str, *, here: bool) -> None:
    node: Node = await client.get(Node, name)
    others = tuple(taint for taint in node.spec.taints if taint.key != OUT)
    taints = (*others, Taint(key=OUT, effect="NoExecute")) if here else others
    await client.update(msgspec.structs.replace(node, spec=msgspec.structs.replace(node.spec, taints=taints)))


def patience() -> tuple[Toleration, ...]:
    return (Toleration(key=OUT, operator="Exists", effect="NoExecute", toleration_seconds=PATIENCE_S),)


def policy_job(event: CreatePolicyJob) -> Job:
    name = "hopeless" if event.hopeless else "work"
    spec = PodSpec(containers=(Container(name=name, image=IMAGES[0]),), restart_policy="Never")
    codes = PodFailurePolicyOnExitCodesRequirement(operator="In", values=(GIVES_UP,))
    rule = PodFailurePolicyRule(action="FailJob", on_exit_codes=codes)
    return Job(
        metadata=ObjectMeta(name=event.name, namespace=NAMESPACE),
        spec=JobSpec(
            completions=event.parallelism + 2,
            parallelism=event.parallelism,
            completion_mode="Indexed",
            backoff_limit=1000,
            pod_failure_policy=PodFailurePolicy(rules=(rule,)) if event.hopeless else None,
            success_policy=None if event.hopeless else SuccessPolicy(rules=(SuccessPolicyRule(succeeded_count=1),)),
            template=PodTemplateSpec(spec=spec),
        ),
    )
