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
from knarr_client.informer import Change
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.nodes.ranges import Ranges


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
        self._ranges = Ranges(cluster_cidr, node_prefix_length)
        self._nodes = informers.of(Node)
        self._given: dict[str, str] = {}
        """Ranges by node uid, written or about to be, that the cache may not show yet."""
        self._nodes.add_handler(self._node_changed)

    async def reconcile(self, key: Key) -> None:
        node = self._nodes.by_key(key)
        if node is None or node.spec.pod_cidr:
            return
        uid = node.metadata.uid
        cidr = self._given.get(uid)
        if cidr is None:
            cidr = self._ranges.first_free()
            if cidr is None:
                message = f"no free /{self._node_prefix_length} is left in {self._cluster_cidr}"
                self._recorder.warning(node, "CIDRNotAvailable", message)
                raise errors.ResourceExhausted(f'node "{key.name}": {message}; give the cluster a larger pod CIDR')
            self._ranges.take(cidr)
            self._given[uid] = cidr
        spec = msgspec.structs.replace(node.spec, pod_cidr=cidr, pod_cidrs=(cidr,))
        await self._client.update(msgspec.structs.replace(node, spec=spec))

    def _node_changed(self, change: Change[Node]) -> None:
        """What nodes have is taken; what one was given is only remembered until it shows, or the node is gone."""
        old, new = change.old, change.new
        for cidr in _cidrs(new):
            self._ranges.take(cidr)
        for cidr in _cidrs(old):
            self._ranges.give_back(cidr)
        if new is not None and new.spec.pod_cidr:
            self._forget(new.metadata.uid)
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self._forget(old.metadata.uid)
        self.queue.add(change.key)

    def _forget(self, uid: str) -> None:
        given = self._given.pop(uid, None)
        if given is not None:
            self._ranges.give_back(given)


def _cidrs(node: Node | None) -> set[str]:
    return {cidr for cidr in (node.spec.pod_cidr, *node.spec.pod_cidrs) if cidr} if node is not None else set()
