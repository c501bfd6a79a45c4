"""Gives each node its range of pod addresses, once and for as long as it exists.

No range is given twice: one worker decides, and what it gave is remembered until the cache of nodes shows it. Only the
leader runs this; a new one starts from a fresh list.
"""

from __future__ import annotations

import msgspec

from knarr_api import errors
from knarr_api.types.core_v1 import Node
from knarr_client.client import Client, Key
from knarr_client.event_recorder import ComponentRecorder
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.nodes.ranges import first_free


class NodeIpamController:
    """Its reconciler must run with one worker."""

    def __init__(
        self,
        client: Client,
        informers: SharedInformers,
        recorder: ComponentRecorder,
        queue: WorkQueue[Key],
        *,
        cluster_cidr: str,
        node_prefix_length: int,
    ) -> None:
        self.queue = queue
        self._client = client
        self._recorder = recorder
        self._cluster_cidr = cluster_cidr
        self._node_prefix_length = node_prefix_length
        self._nodes = informers.of(Node)
        self._given: dict[str, str] = {}
        """Ranges by node uid, written or about to be, that the cache may not show yet."""
        self._nodes.enqueue_to(queue)

    async def reconcile(self, key: Key) -> None:
        self._forget_shown()
        node = self._nodes.by_key(key)
        if node is None or node.spec.pod_cidr:
            return
        uid = node.metadata.uid
        cidr = self._given.get(uid) or self._next()
        if cidr is None:
            message = f"no free /{self._node_prefix_length} is left in {self._cluster_cidr}"
            self._recorder.warning(node, "CIDRNotAvailable", message)
            raise errors.ResourceExhausted(f'node "{key.name}": {message}; give the cluster a larger pod CIDR')
        self._given[uid] = cidr
        spec = msgspec.structs.replace(node.spec, pod_cidr=cidr, pod_cidrs=(cidr,))
        await self._client.update(msgspec.structs.replace(node, spec=spec))

    def _next(self) -> str | None:
        used = [cidr for node in self._nodes.items() for cidr in (node.spec.pod_cidr, *node.spec.pod_cidrs) if cidr]
        return first_free(self._cluster_cidr, self._node_prefix_length, (*used, *self._given.values()))

    def _forget_shown(self) -> None:
        present = {node.metadata.uid: node for node in self._nodes.items()}
        self._given = {
            uid: cidr for uid, cidr in self._given.items() if uid in present and not present[uid].spec.pod_cidr
        }
