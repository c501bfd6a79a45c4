"""Carries out what ``decide`` plans for a namespace's accounts."""

from __future__ import annotations

from typing import Any

from knarr_api import errors
from knarr_api.types.core_v1 import ConfigMap, Namespace, ServiceAccount
from knarr_client.client import Client, Key
from knarr_client.informer import Change
from knarr_client.workqueue import WorkQueue
from knarr_controlplane.controllers.informers import SharedInformers
from knarr_controlplane.controllers.serviceaccounts.decide import World, decide
from knarr_controlplane.registry.accounts import DEFAULT, ROOT_CA


class ServiceAccountController:
    """Its queue's keys are namespaces. ConfigMaps are read, not followed: there may be many, and big ones."""

    def __init__(self, client: Client, informers: SharedInformers, queue: WorkQueue[Key], *, ca_pem: str) -> None:
        self.queue = queue
        self._client = client
        self._ca_pem = ca_pem
        self._namespaces = informers.of(Namespace)
        self._accounts = informers.of(ServiceAccount)
        self._namespaces.enqueue_to(queue)
        self._accounts.add_handler(self._gone)

    def follow(self, informers: SharedInformers) -> None:
        """To be called when all informers that others need whole are asked for."""
        informers.metadata_of(ConfigMap).add_handler(self._gone)

    async def reconcile(self, key: Key) -> None:
        namespace = self._namespaces.by_key(key)
        if namespace is None:
            return
        world = World(
            namespace=namespace,
            account=self._accounts.get(DEFAULT, key.name),
            root_ca=await self._root_ca(key.name) if self._ca_pem else None,
            ca_pem=self._ca_pem,
        )
        plan = decide(world)
        for obj in plan.create:
            try:
                await self._client.create(obj)
            except (errors.AlreadyExists, errors.NotFound, errors.Forbidden):
                continue  # somebody was faster, or the namespace goes
        if plan.update is not None:
            await self._client.update(plan.update)

    async def _root_ca(self, namespace: str) -> ConfigMap | None:
        try:
            return await self._client.get(ConfigMap, ROOT_CA, namespace)
        except errors.NotFound:
            return None

    def _gone(self, change: Change[Any]) -> None:
        ours = ROOT_CA if isinstance(change.old, ConfigMap) else DEFAULT
        if change.old is not None and change.key.name == ours:
            self.queue.add(Key("", change.key.namespace))
