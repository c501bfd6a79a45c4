"""Removing a container of ``run``: with its pod where nobody else is in it, its log and its anonymous volumes."""

from __future__ import annotations

import asyncio
import os
import shutil

from knarr_runtime.cri import standalone
from knarr_runtime.cri.pods import Pods
from knarr_runtime.errors import WrongState
from knarr_runtime.launcher import ContainerState
from knarr_runtime.standalone.volumes import Volumes


class Removal:
    def __init__(self, pods: Pods, volumes: Volumes) -> None:
        self._pods = pods
        self._volumes = volumes

    async def remove(self, identifier: str, *, force: bool = False, volumes: bool = False) -> None:
        """Raises NotFound; WrongState while it runs, unless ``force``."""
        record = self._pods.container(identifier)
        launched = self._pods.launched(record)
        if launched is not None and launched.state is ContainerState.RUNNING and not force:
            raise WrongState(f"container {record.config.metadata.name} runs: stop it first, or use --force")
        self._pods.expect_end(record)
        own = standalone.is_own(record.config)
        log = os.path.dirname(launched.spec.log_path) if launched is not None and own else ""
        if own and len(self._pods.containers_of(record.sandbox_id)) == 1:
            await self._pods.remove_sandbox(record.sandbox_id)
        else:
            await self._pods.remove_container(record.id)
        if log:
            await asyncio.to_thread(shutil.rmtree, log, ignore_errors=True)
        if volumes:
            await asyncio.to_thread(self._volumes.remove_anonymous, standalone.volumes(record.config))
