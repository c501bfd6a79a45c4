"""Carries out what ``decide`` plans for a HorizontalPodAutoscaler, every 15 seconds."""

from __future__ import annotations

from typing import Any

from knarr_api import errors, kinds
from knarr_api.errors import KnarrError, NotFound
from knarr_api.labels import Selector
from knarr_api.types.autoscaling_v1 import Scale
from knarr_api.types.autoscaling_v2 import CrossVersionObjectReference, HorizontalPodAutoscaler
from knarr_api.types.core_v1 import Pod
from knarr_api.types.metrics_v1beta1 import PodMetrics
from knarr_client.client import Client, Key
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import notes
from knarr_controlplane.controllers.autoscaling.behaviour import History
from knarr_controlplane.controllers.autoscaling.decide import Plan, World, decide, failed
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.registry import scale

SYNC_S = 15.0
MANAGER = "horizontal-pod-autoscaler"
"""Whom an apply of a number of replicas is in conflict with."""
Target = tuple[type[Any], str]


class AutoscalingController:
    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        recorder: ComponentRecorder,
        clock: Clock,
        queue: WorkQueue[Key],
    ) -> None:
        self.queue = queue
        self._client = client
        self._recorder = recorder
        self._clock = clock
        self._autoscalers = informers.of(HorizontalPodAutoscaler)
        self._pods = informers.of(Pod)
        self._histories: dict[Key, tuple[str, History]] = {}
        """By key: the autoscaler's uid and what it did lately."""
        self._autoscalers.add_handler(self._changed)

    async def reconcile(self, key: Key) -> Again | None:
        autoscaler = self._autoscalers.by_key(key)
        if autoscaler is None:
            self._histories.pop(key, None)
            return None
        world = await self._observe(key, autoscaler)
        plan = decide(world)
        if plan.replicas is not None:
            plan = await self._scale(world, plan)
        self._histories[key] = (autoscaler.metadata.uid, plan.history)
        notes.record(self._recorder, autoscaler, plan.notes)
        if plan.autoscaler.status != autoscaler.status:
            await self._client.update_status(plan.autoscaler)
        return Again(SYNC_S)

    async def _observe(self, key: Key, autoscaler: HorizontalPodAutoscaler) -> World:
        uid, history = self._histories.get(key, ("", History()))
        if uid != autoscaler.metadata.uid:
            history = History()
        found: Scale | None = None
        problem, selector = "", ""
        pods: tuple[Pod, ...] = ()
        metrics: tuple[PodMetrics, ...] = ()
        try:
            found = await self._target_scale(key, autoscaler)
        except KnarrError as error:
            problem = str(error)
        if found is not None:
            selector = found.status.selector
        if selector:
            matching = Selector.parse(selector)
            pods = tuple(each for each in self._pods.items(key.namespace) if matching.matches(each.metadata.labels))
            metrics = (await self._client.list(PodMetrics, key.namespace, label_selector=selector)).items
        return World(
            autoscaler=autoscaler,
            scale=found,
            problem=problem,
            pods=pods,
            metrics=metrics,
            history=history,
            now=self._clock.now(),
            now_s=self._clock.monotonic(),
        )

    async def _target_scale(self, key: Key, autoscaler: HorizontalPodAutoscaler) -> Scale:
        type_, name = _target(autoscaler)
        return scale.of(await self._client.get(type_, name, key.namespace))

    async def _scale(self, world: World, plan: Plan) -> Plan:
        """Set the replicas, unless the target has changed since it was read."""
        type_, name = _target(world.autoscaler)
        assert world.scale is not None
        metadata = {"resourceVersion": world.scale.metadata.resource_version}
        patch = {"metadata": metadata, "spec": {"replicas": plan.replicas}}
        namespace = world.autoscaler.metadata.namespace
        try:
            await self._client.patch(type_, name, namespace, patch=patch, field_manager=MANAGER)
        except errors.Conflict:
            raise
        except KnarrError as error:
            return failed(world, plan, str(error))
        return plan

    def _changed(self, change: Change[HorizontalPodAutoscaler]) -> None:
        if change.old is None or change.new is None or change.old.spec != change.new.spec:
            self.queue.add(change.key)


def _target(autoscaler: HorizontalPodAutoscaler) -> Target:
    """Raises NotFound for a kind that is none, or that can't be scaled."""
    reference = autoscaler.spec.scale_target_ref or CrossVersionObjectReference()
    kind = kinds.by_kind(reference.api_version, reference.kind)
    if kind.type not in scale.SCALABLE:
        raise NotFound(f'no scale of kind "{reference.kind}" in version "{reference.api_version}"')
    return kind.type, reference.name
