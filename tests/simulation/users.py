"""Who uses the cluster: people who change objects, and writers that count. ``watchers`` compare with the truth."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from knarr_api import errors
from knarr_api.errors import KnarrError
from knarr_api.quantity import Quantity
from knarr_api.types.apps_v1 import (
    DaemonSet,
    Deployment,
    DeploymentSpec,
    DeploymentStrategy,
    RollingUpdateDeployment,
    StatefulSet,
)
from knarr_api.types.batch_v1 import CronJob, Job, JobSpec
from knarr_api.types.core_v1 import ConfigMap, Container, Namespace, Pod, PodSpec, PodTemplateSpec, ResourceRequirements
from knarr_api.types.meta_v1 import LabelSelector, ObjectMeta
from knarr_client.client import Propagation
from tests.simulation import plan, pressure, workloads
from tests.simulation.cluster import Cluster
from tests.simulation.faults import Network
from tests.simulation.invariants import HOLD, Invariants
from tests.simulation.loop import Process
from tests.simulation.moment import STALE_S
from tests.simulation.remote import Remote

replace = msgspec.structs.replace
NAMESPACE = workloads.NAMESPACE
TYPES: dict[str, Any] = {
    "web": Deployment,
    "db": StatefulSet,
    "each": DaemonSet,
    "low": Deployment,
    "vip": Deployment,
}
"""By how their names begin."""
PAUSE_S = 0.5
DEADLINE_S = 20.0


class User:
    """Somebody with a client of their own; what fails is tried again until it is acknowledged."""

    def __init__(self, cluster: Cluster, process: Process, name: str) -> None:
        self.network = Network(name, cluster.chance(name), cluster.fired, cluster.access)
        self.client: Any = Remote(process, self.network, cluster.endpoints)

    async def insist(self, work: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                async with asyncio.timeout(DEADLINE_S):
                    return await work()
            except (errors.Invalid, errors.Forbidden):
                raise
            except (KnarrError, TimeoutError):
                await asyncio.sleep(PAUSE_S)


class People:
    """Carries out a plan's actions: those about one object one after the other.

    wanted: by name of each Deployment and Job what was acknowledged last; None once it was deleted.
    """

    def __init__(self, cluster: Cluster, process: Process, invariants: Invariants) -> None:
        self.wanted: dict[str, Any] = {}
        self.deleted: set[str] = set()
        """Namespaces."""
        self._cluster = cluster
        self._process = process
        self._invariants = invariants
        self._last: dict[str, asyncio.Task[None]] = {}

    def act(self, event: plan.Event) -> None:
        name = getattr(event, "name", "somebody")
        before = self._last.get(name)
        self._last[name] = self._process.spawn(self._after(before, event, name), name, vital=False)

    def done(self) -> bool:
        """Whether all that was begun is acknowledged. Raises what went wrong."""
        return all(task.done() and task.result() is None for task in self._last.values())

    def _orphan(self, name: str) -> None:
        for obj in self._invariants.of(_type(name)):
            if obj.metadata.name == name and obj.metadata.deletion_timestamp is None:
                self._invariants.promises.orphan(obj)
                self._invariants.claims.orphan(obj)

    async def _after(self, before: asyncio.Task[None] | None, event: plan.Event, name: str) -> None:
        if before is not None:
            await asyncio.wait({before})
            before.result()
        if isinstance(event, pressure.ACTIONS):
            await self._press(event)
            return
        user = User(self._cluster, self._process, f"user {name}")
        await user.insist(lambda: self._do(user.client, event))
        if isinstance(event, plan.Hold):
            await asyncio.sleep(max(0.0, event.release_at_s - asyncio.get_running_loop().time()))
            self._invariants.released.add(event.name)
            await user.insist(lambda: _release(user.client, event.name))
        if isinstance(event, workloads.CreateLimited):
            await asyncio.sleep(STALE_S)  # until whoever answers has seen the quota
            async with asyncio.TaskGroup() as group:
                for number in range(event.asked):
                    group.create_task(self._ask(event, number))

    async def _press(self, event: plan.Event) -> None:
        def user(name: str) -> User:
            return User(self._cluster, self._process, f"user {name}")

        if isinstance(event, pressure.DeleteCrowd):
            me = user(event.name)
            await me.insist(lambda: _delete(me.client, Namespace, event.name, namespace=""))
            self.deleted.add(event.name)
        else:
            await pressure.act(user, event, self._invariants.rights.applied)
        if isinstance(event, pressure.Crowd):  # they go on while it is deleted
            self._last["crowd writing"] = self._process.spawn(pressure.crowd(user, event), "crowd", vital=False)

    async def _ask(self, event: workloads.CreateLimited, number: int) -> None:
        """For one pod more than there may be, perhaps."""
        user = User(self._cluster, self._process, f"user {event.name} {number}")
        with contextlib.suppress(errors.Forbidden):
            await user.insist(lambda: _create_unless_gone(user.client, workloads.limited_pod(event, number)))

    async def _do(self, client: Any, event: plan.Event) -> None:
        match event:
            case plan.CreateDeployment():
                await _create(client, _deployment(event))
                self.wanted[event.name] = (event.replicas, plan.IMAGES[0])
            case workloads.CreateStatefulSet():
                await _create(client, workloads.stateful_set(event))
                self.wanted[event.name] = (event.replicas, plan.IMAGES[0])
            case workloads.CreateDaemonSet():
                await _create(client, workloads.daemon_set(event))
                self.wanted[event.name] = (None, plan.IMAGES[0])
            case plan.Scale():
                if self.wanted.get(event.name) is not None:
                    owner = await client.get(_type(event.name), event.name, NAMESPACE)
                    await client.update(replace(owner, spec=replace(owner.spec, replicas=event.replicas)))
                    self.wanted[event.name] = (event.replicas, self.wanted[event.name][1])
            case plan.SetImage():
                if self.wanted.get(event.name) is not None:
                    owner = await client.get(_type(event.name), event.name, NAMESPACE)
                    await client.update(_with_image(owner, event.image))
                    self.wanted[event.name] = (self.wanted[event.name][0], event.image)
            case plan.DeleteOwner():
                if event.propagation == "Orphan":
                    self._orphan(event.name)
                await _delete(client, _type(event.name), event.name, propagation=Propagation(event.propagation))
                self.wanted[event.name] = None
            case workloads.CreateCronJob():
                await _create(client, workloads.cron_job(event))
            case workloads.SuspendCronJob():
                await client.patch(CronJob, event.name, NAMESPACE, patch={"spec": {"suspend": True}})
            case workloads.CreateBudget():
                await _create(client, workloads.budget(event))
            case workloads.Evict():
                await _evict(client, event)
            case workloads.CreateLimited():
                await _create(client, workloads.namespace(event.name))
                await _create(client, workloads.quota(event))
            case workloads.DeleteLimited():
                await _delete(client, Namespace, event.name, namespace="")
                self.deleted.add(event.name)
            case plan.CreateJob():
                await _create(client, _job(event))
                self.wanted[event.name] = event.completions
            case plan.DeleteJob():
                await _delete(client, Job, event.name)
                self.wanted[event.name] = None
            case plan.CreatePod():
                await _create(client, _pod(event))
            case plan.DeletePod():
                await _delete(client, Pod, event.name, grace_period_s=event.grace_s)
            case plan.DeleteSomePod():
                chosen = await _some_pod(client, event.number, tuple(TYPES))
                if chosen is not None:
                    await _delete(client, Pod, chosen.metadata.name, uid=chosen.metadata.uid)
            case plan.Hold():
                metadata = ObjectMeta(name=event.name, namespace=NAMESPACE, finalizers=(HOLD,))
                await _create(client, ConfigMap(metadata=metadata))
                await _delete(client, ConfigMap, event.name)
            case _:
                raise TypeError(f"{event} is nothing that a user does")


def _type(name: str) -> Any:
    return TYPES[name.split("-")[0]]


async def _create(client: Any, obj: Any) -> None:
    try:
        await client.create(obj)
    except errors.AlreadyExists:
        return  # an attempt before, of which no answer came


async def _create_unless_gone(client: Any, obj: Any) -> None:
    try:
        await _create(client, obj)
    except errors.NotFound:
        return  # its namespace


async def _some_pod(client: Any, number: int, prefixes: tuple[str, ...]) -> Pod | None:
    pods: list[Pod] = [p for p in (await client.list(Pod, NAMESPACE)).items if p.metadata.name.startswith(prefixes)]
    return sorted(pods, key=lambda pod: pod.metadata.name)[number % len(pods)] if pods else None


async def _evict(client: Any, event: workloads.Evict) -> None:
    """What a budget forbids stays undone."""
    chosen = await _some_pod(client, event.number, ("web",))
    if chosen is None:
        return
    pods = [chosen]
    if event.whole_node and chosen.spec.node_name:
        there = (await client.list(Pod, NAMESPACE, field_selector=f"spec.nodeName={chosen.spec.node_name}")).items
        pods = [pod for pod in there if pod.metadata.name.startswith("web")]

    async def evict(pod: Pod) -> None:
        with contextlib.suppress(KnarrError):
            await client.evict(pod.metadata.name, pod.metadata.namespace, uid=pod.metadata.uid)

    async with asyncio.TaskGroup() as group:
        for pod in pods:
            group.create_task(evict(pod))


async def _delete(client: Any, type_: Any, name: str, *, namespace: str = NAMESPACE, **options: Any) -> None:
    try:
        await client.delete(type_, name, namespace, **options)
    except errors.NotFound:
        return
    except errors.Conflict:
        if not options.get("uid"):
            raise


async def _release(client: Any, name: str) -> None:
    try:
        held = await client.get(ConfigMap, name, NAMESPACE)
        await client.update(replace(held, metadata=replace(held.metadata, finalizers=())))
    except errors.NotFound:
        return


def _deployment(event: plan.CreateDeployment) -> Deployment:
    labels = {"app": event.name}
    resources = ResourceRequirements(requests={"cpu": Quantity(f"{event.cpu_m}m")})
    container = Container(name="main", image=plan.IMAGES[0], resources=resources)
    rolling = RollingUpdateDeployment(max_surge=event.max_surge, max_unavailable=event.max_unavailable)
    return Deployment(
        metadata=ObjectMeta(name=event.name, namespace=NAMESPACE),
        spec=DeploymentSpec(
            replicas=event.replicas,
            selector=LabelSelector(match_labels=labels),
            strategy=DeploymentStrategy(type="RollingUpdate", rolling_update=rolling),
            template=PodTemplateSpec(
                metadata=ObjectMeta(labels=labels),
                spec=PodSpec(
                    containers=(container,),
                    termination_grace_period_seconds=2,
                    priority_class_name=event.priority_class,
                    tolerations=pressure.patience(),
                ),
            ),
        ),
    )


def _with_image(owner: Any, image: str) -> Any:
    template = owner.spec.template
    containers = (replace(template.spec.containers[0], image=image),)
    template = replace(template, spec=replace(template.spec, containers=containers))
    return replace(owner, spec=replace(owner.spec, template=template))


def _job(event: plan.CreateJob) -> Job:
    spec = PodSpec(containers=(Container(name="work", image=plan.IMAGES[0]),), restart_policy="Never")
    return Job(
        metadata=ObjectMeta(name=event.name, namespace=NAMESPACE),
        spec=JobSpec(
            completions=event.completions,
            parallelism=event.parallelism,
            backoff_limit=1000,
            template=PodTemplateSpec(spec=spec),
        ),
    )


def _pod(event: plan.CreatePod) -> Pod:
    name = "main" if event.restart_policy == "Always" else "work"
    spec = PodSpec(containers=(Container(name=name, image=plan.IMAGES[0]),), restart_policy=event.restart_policy)
    return Pod(metadata=ObjectMeta(name=event.name, namespace=NAMESPACE), spec=spec)


class Writer:
    """Counts in ConfigMaps that others count in, too: by turns with and without the revision it has read. What was
    acknowledged is read at once by somebody else, perhaps from another control plane."""

    def __init__(self, cluster: Cluster, process: Process, invariants: Invariants, name: str) -> None:
        self._user = User(cluster, process, name)
        self._reader = User(cluster, process, f"reader of {name}")
        self._invariants = invariants
        self._name = name
        self._chance = cluster.chance(f"writer {name}")
        self.stop = False

    async def run(self) -> None:
        client, count = self._user.client, 0
        while not self.stop:
            count += 1
            name = f"counter-{self._chance.randrange(2)}"
            await self._user.insist(lambda name=name, count=count: self._write(client, name, count))  # type: ignore[misc]
            self._invariants.acknowledged(name, self._name, count)
            if count % 3 == 0:
                await self._reader.insist(lambda name=name, count=count: self._read(name, count))  # type: ignore[misc]
            await asyncio.sleep(0.3 + self._chance.random())

    async def _read(self, name: str, count: int) -> None:
        present = await self._reader.client.get(ConfigMap, name, NAMESPACE)
        if int(present.data.get(self._name, "-1")) < count:
            shown = present.data.get(self._name)
            self._invariants.fail("reads", f"{name}: {self._name}={count} was acknowledged, {shown} is read")

    async def _write(self, client: Any, name: str, count: int) -> None:
        try:
            if count % 2:
                await client.patch(ConfigMap, name, NAMESPACE, patch={"data": {self._name: str(count)}})
                return
            present = await client.get(ConfigMap, name, NAMESPACE)
            await client.update(replace(present, data={**present.data, self._name: str(count)}))
        except errors.NotFound:
            metadata = ObjectMeta(name=name, namespace=NAMESPACE)
            await client.create(ConfigMap(metadata=metadata, data={self._name: str(count)}))
