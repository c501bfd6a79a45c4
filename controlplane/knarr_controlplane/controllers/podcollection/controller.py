"""Carries out what ``decide`` says, every so often: for the rare cases it need not be quick."""

from __future__ import annotations

from collections.abc import Collection

import msgspec
import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Node, Pod
from knarr_client.client import Client
from knarr_client.clock import Clock
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.nodes import taints
from knarr_controlplane.controllers.nodes.lifecycle import node_name
from knarr_controlplane.controllers.podcollection.decide import Removal, removals
from knarr_controlplane.controllers.pods import state

TERMINATING, ENDED = "terminating", "ended"


def collectable(pod: Pod) -> tuple[str, ...]:
    """Index function."""
    terminating = pod.metadata.deletion_timestamp is not None
    if state.is_ended(pod):
        return (TERMINATING, ENDED) if terminating else (ENDED,)
    return (TERMINATING,) if terminating else ()


class PodCollector:
    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        clock: Clock,
        *,
        interval_s: float,
        quarantine_s: float,
        ended_max: int,
    ) -> None:
        self._client = client
        self._clock = clock
        self._interval_s = interval_s
        self._quarantine_s = quarantine_s
        self._ended_max = ended_max
        self._nodes = informers.of(Node)
        self._pods = informers.of(Pod)
        self._pods.add_index("node", node_name)
        self._pods.add_index("collectable", collectable)
        self._missing_since_s: dict[str, float] = {}
        self._log = structlog.get_logger("knarr.pods")

    async def run(self) -> None:
        while True:
            try:
                await self.collect()
            except errors.KnarrError as error:
                self._log.warning("could not remove pods", error=str(error))
            await self._clock.sleep(self._interval_s)

    async def collect(self) -> None:
        present = {node.metadata.name: node for node in self._nodes.items()}
        now_s = self._clock.monotonic()
        missing = self._pods.values("node") - present.keys()
        pods = self._candidates(missing)
        self._missing_since_s = {name: self._missing_since_s.get(name, now_s) for name in sorted(missing)}
        gone: dict[str, bool] = {}
        for removal in removals(
            pods,
            nodes=present.keys(),
            missing_s={name: now_s - since_s for name, since_s in self._missing_since_s.items()},
            out_of_service=frozenset(
                name
                for name, node in present.items()
                if any(taint.key == taints.OUT_OF_SERVICE for taint in node.spec.taints)
                and taints.ready_status(node) != "True"
            ),
            quarantine_s=self._quarantine_s,
            ended_max=self._ended_max,
        ):
            node = removal.check_node
            if node and node not in gone:
                gone[node] = await self._is_gone(node)
            if not node or gone[node]:
                await self._remove(removal)

    def _candidates(self, missing: Collection[str]) -> tuple[Pod, ...]:
        """Each once: of thousands of pods the few that may have to go."""
        found = [pod for name in sorted(missing) for pod in self._pods.by_index("node", name)]
        found += [pod for why in (TERMINATING, ENDED) for pod in self._pods.by_index("collectable", why)]
        return tuple({pod.metadata.uid: pod for pod in found}.values())

    async def _is_gone(self, node: str) -> bool:
        """The cache may lag; deleting a running pod's object because of that would leave it running unseen."""
        try:
            await self._client.get(Node, node)
        except errors.NotFound:
            return True
        return False

    async def _remove(self, removal: Removal) -> None:
        metadata = removal.pod.metadata
        self._log.info("removing pod", object=f"Pod/{metadata.namespace}/{metadata.name}", reason=removal.reason)
        try:
            await self._mark_failed(removal)
            await self._client.delete(Pod, metadata.name, metadata.namespace, uid=metadata.uid, grace_period_s=0)
        except (errors.NotFound, errors.Conflict):
            return

    async def _mark_failed(self, removal: Removal) -> None:
        """Nobody else will say how it ended; whoever counts failures must know that it was not its own.

        Raises Conflict, NotFound.
        """
        pod = removal.pod
        if state.is_ended(pod) or not pod.metadata.finalizers:
            return
        status = pod.status
        if removal.check_node:
            text = "PodGC: node no longer exists"
            status = state.disrupted(pod, "DeletionByPodGC", text, self._clock.now())
        failed = msgspec.structs.replace(status, phase="Failed")
        await self._client.update_status(msgspec.structs.replace(pod, status=failed))
