"""``cp`` and ``diff``: a container's files, whether it runs or not.

A running container is seen through its first process's root, with its volumes; another one as image and writable layer,
without them, while nobody may start it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord
from knarr_runtime.errors import Invalid, WrongState
from knarr_runtime.launcher import ContainerState, Launcher
from knarr_runtime.standalone import files
from knarr_runtime.standalone.changes import changes

IN_MEMORY_BYTES = 8 << 20


class Copying:
    """scratch: a directory for archives that come."""

    def __init__(self, pods: Pods, launcher: Launcher, scratch: Path) -> None:
        self._pods = pods
        self._launcher = launcher
        self._scratch = scratch
        scratch.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def out(self, record: ContainerRecord, path: str, *, follow_link: bool) -> AsyncIterator[bytes]:
        """Raises NotFound."""
        async with self._root(record, path) as root:
            pieces = files.packed(root, path, follow_link=follow_link)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece

    async def take(self, record: ContainerRecord, first: Any, more: AsyncIterator[Any]) -> None:
        """first: the CopyIn message that says where to. Raises NotFound, Invalid."""
        owner = None if first.keep_owner else (0, 0)
        with tempfile.SpooledTemporaryFile(IN_MEMORY_BYTES, dir=str(self._scratch)) as archive:
            archive.write(first.data)
            async for message in more:
                await asyncio.to_thread(archive.write, message.data)
            archive.seek(0)
            async with self._root(record, first.path) as root:
                if first.raw:
                    await asyncio.to_thread(files.unpack, root, first.path, archive, owner=owner)
                else:
                    await asyncio.to_thread(
                        files.place, root, first.path, archive, owner=owner, contents=first.contents
                    )

    async def changes(self, record: ContainerRecord) -> list[tuple[str, str]]:
        spec = self._launcher.containers()[record.id].spec
        ignore = {mount.target for mount in spec.mounts}
        upper = self._pods.layer(record)
        return await asyncio.to_thread(lambda: list(changes(upper, spec.rootfs.lower, ignore)))

    @contextlib.asynccontextmanager
    async def _root(self, record: ContainerRecord, path: str) -> AsyncIterator[int]:
        launched = self._pods.launched(record)
        async with contextlib.AsyncExitStack() as stack:
            if launched is None or launched.state is not ContainerState.RUNNING:
                await stack.enter_async_context(self._pods.lock(record.sandbox_id))
                self._check_place(record, path)
            root = await self._launcher.open_root(record.id)
            stack.callback(os.close, root)
            yield root

    def _check_place(self, record: ContainerRecord, path: str) -> None:
        """Its volumes are there only while it runs. Raises WrongState."""
        spec = self._launcher.containers()[record.id].spec
        clean = files.absolute(path)
        for mount in spec.mounts:
            if os.path.commonpath((clean, mount.target)) == mount.target.rstrip("/"):
                raise WrongState(f"{path} is in a volume of container {record.id[:12]}, which does not run: start it")
        if "\0" in path:
            raise Invalid("path: NUL is not allowed")
