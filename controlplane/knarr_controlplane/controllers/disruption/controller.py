"""Keeps the status of PodDisruptionBudgets."""

from __future__ import annotations

import datetime

from knarr_api.errors import NotFound
from knarr_api.labels import Selector
from knarr_api.types.apps_v1 import Deployment, ReplicaSet, StatefulSet
from knarr_api.types.core_v1 import Pod, ReplicationController
from knarr_api.types.meta_v1 import OwnerReference
from knarr_api.types.policy_v1 import PodDisruptionBudget
from knarr_client.client import Client, Key, key_of
from knarr_client.clock import Clock
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.informer import Change
from knarr_client.reconcile import Again
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers import ownership
from knarr_controlplane.controllers.disruption.decide import Plan, Scale, World, changed, decide
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.own_writes import OwnWrites

LOOK_AGAIN_S = 1.0


class DisruptionController:
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
        self._budgets = informers.of(PodDisruptionBudget)
        self._pods = informers.of(Pod)
        self._own_status: OwnWrites[Key, PodDisruptionBudget] = OwnWrites(self._budgets, clock)
        self._noted_s: dict[Key, dict[tuple[str, datetime.datetime], float]] = {}
        """Since when a pod is seen noted as evicted, by its name and the time that is noted."""
        self._budgets.add_handler(self._budget_changed)
        self._pods.add_handler(self._pod_changed)
        informers.of(Deployment).add_handler(self._scale_changed)
        informers.of(StatefulSet).add_handler(self._scale_changed)

    async def reconcile(self, key: Key) -> Again | None:
        budget = self._budgets.by_key(key)
        if budget is None or budget.metadata.deletion_timestamp is not None:
            self._own_status.forget(key)
            self._noted_s.pop(key, None)
            return None
        if not self._own_status.seen(key):
            return Again(LOOK_AGAIN_S)
        selector = Selector.from_label_selector(budget.spec.selector)
        pods = tuple(pod for pod in self._pods.items(key.namespace) if selector.matches(pod.metadata.labels))
        waited_s, scales = self._waited_s(key, budget), await self._scales(pods)
        plan = decide(World(budget=budget, pods=pods, scales=scales, waited_s=waited_s, now=self._clock.now()))
        wanted = changed(budget, plan.status)
        if wanted is not None:
            self._tell(budget, pods, plan)
            # Compared with what was read: an eviction that came between is not counted twice.
            self._own_status.wrote(key, await self._client.update_status(wanted))
        return Again(plan.again_after_s) if plan.again_after_s else None

    def _waited_s(self, key: Key, budget: PodDisruptionBudget) -> dict[str, float]:
        """How long each pod has been seen noted as evicted."""
        now_s, before = self._clock.monotonic(), self._noted_s.get(key, {})
        noted = {each: before.get(each, now_s) for each in budget.status.disrupted_pods.items()}
        self._noted_s[key] = noted
        return {name: now_s - since_s for (name, _), since_s in noted.items()}

    def _tell(self, budget: PodDisruptionBudget, pods: tuple[Pod, ...], plan: Plan) -> None:
        namespace, name = budget.metadata.namespace, budget.metadata.name
        if not pods:
            self._recorder.normal(budget, "NoPods", "No matching pods found")
        for pod in plan.not_deleted:
            text = f"Pod was expected by PDB {namespace}/{name} to be deleted but it wasn't"
            self._recorder.warning(pod, "NotDeleted", text)
        if plan.unmanaged:
            self._recorder.warning(
                budget,
                "UnmanagedPods",
                "Pods selected by this PodDisruptionBudget were found to be unmanaged. As a result, the status of the "
                "PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods "
                'please set ".spec.minAvailable" field of the PDB to an integer value.',
            )

    async def _scales(self, pods: tuple[Pod, ...]) -> dict[str, Scale]:
        """By the uid of the pods' controllers. Asked of the API: informers follow each kind by itself: with replicas
        older than the pods too many of these might go."""
        found: dict[str, Scale] = {}
        for pod in pods:
            controller = ownership.controller_of(pod)
            if controller is not None and controller.uid not in found:
                scale = await self._scale(controller, pod.metadata.namespace)
                if scale is not None:
                    found[controller.uid] = scale
        return found

    async def _scale(self, controller: OwnerReference, namespace: str) -> Scale | None:
        """What stands behind a controller: of a ReplicaSet its Deployment, if it has one."""
        owner: ReplicaSet | Deployment | StatefulSet | ReplicationController
        try:
            match controller.kind:
                case "ReplicaSet":
                    owner = await self._client.get(ReplicaSet, controller.name, namespace)
                    above = ownership.controller_of(owner)
                    if above is not None and above.kind == "Deployment":
                        controller, owner = above, await self._client.get(Deployment, above.name, namespace)
                case "StatefulSet":
                    owner = await self._client.get(StatefulSet, controller.name, namespace)
                case "ReplicationController":
                    owner = await self._client.get(ReplicationController, controller.name, namespace)
                case _:
                    return None
        except NotFound:
            return None
        if owner.metadata.uid != controller.uid:
            return None
        return Scale(uid=owner.metadata.uid, replicas=1 if owner.spec.replicas is None else owner.spec.replicas)

    # What concerns whom

    def _budget_changed(self, change: Change[PodDisruptionBudget]) -> None:
        self.queue.add(change.key)

    def _pod_changed(self, change: Change[Pod]) -> None:
        budgets = self._budgets.items(change.key.namespace)
        labels = [pod.metadata.labels for pod in (change.old, change.new) if pod is not None] if budgets else []
        for budget in budgets:
            selector = Selector.from_label_selector(budget.spec.selector)
            if any(selector.matches(each) for each in labels):
                self.queue.add(key_of(budget))

    def _scale_changed(self, change: Change[Deployment] | Change[StatefulSet]) -> None:
        old, new = change.old, change.new
        if old is None or new is None or old.spec.replicas != new.spec.replicas:
            for budget in self._budgets.items(change.key.namespace):
                self.queue.add(key_of(budget))
