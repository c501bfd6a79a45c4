"""Keeps containers' logs bounded: a log that has grown too long is renamed, and the runtime told to begin a new one.

    1.log ──► 1.log.20300101-000000 ──► 1.log.20300101-000000.gz ──► removed, the oldest first

The one rotated last stays as it is, for those who still read it. Source: Kubernetes "Logging Architecture", rotation.
"""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
from pathlib import Path

import structlog

from knarr_api.errors import KnarrError
from knarr_client.clock import Clock
from knarr_node_agent import configs
from knarr_node_agent.pods import PodManager
from knarr_node_agent.runtime import Runtime
from knarr_node_agent.starting import pod_logs

CHECK_S = 10.0
MAX_BYTES = 10 * 1024 * 1024
MAX_FILES = 5


class LogRotation:
    """max_files: of one container's run, with the one that is written to."""

    def __init__(
        self,
        runtime: Runtime,
        pods: PodManager,
        log_root: Path,
        clock: Clock,
        *,
        max_bytes: int = MAX_BYTES,
        max_files: int = MAX_FILES,
    ) -> None:
        self._runtime = runtime
        self._pods = pods
        self._log_root = log_root
        self._clock = clock
        self._max_bytes = max_bytes
        self._max_files = max_files

    async def run(self) -> None:
        """Until cancelled."""
        log = structlog.get_logger("knarr.logs")
        while True:
            for pod, run in tuple(self._pods.running()):
                path = pod_logs(self._log_root, pod) / configs.log_path(run.name, run.attempt)
                try:
                    if os.stat(path).st_size >= self._max_bytes:
                        await self.rotate(run.id, path)
                except FileNotFoundError:
                    continue
                except (OSError, KnarrError) as error:
                    log.warning("a log could not be rotated", file=str(path), error=str(error))
            await self._clock.sleep(CHECK_S)

    async def rotate(self, container_id: str, path: Path) -> None:
        """Raises OSError, KnarrError; then the log goes on where it was."""
        stamp = self._clock.now().strftime("%Y%m%d-%H%M%S-%f")
        aside = path.with_name(f"{path.name}.{stamp}")
        await asyncio.to_thread(tidy, path, self._max_files)
        os.rename(path, aside)
        try:
            await self._runtime.reopen_log(container_id)
        except KnarrError:
            if not path.exists():
                os.rename(aside, path)
            raise


def tidy(path: Path, max_files: int) -> None:
    """Compress what was rotated away before, and remove the oldest so that there is room for one more."""
    rotated = sorted(file for file in path.parent.glob(f"{path.name}.*") if not file.name.endswith(".tmp"))
    for file in rotated[: max(len(rotated) - (max_files - 2), 0)]:
        file.unlink()
    for file in rotated[max(len(rotated) - (max_files - 2), 0) :]:
        if file.suffix == ".gz":
            continue
        unfinished = file.with_name(f"{file.name}.tmp")
        with file.open("rb") as source, gzip.open(unfinished, "wb") as target:
            shutil.copyfileobj(source, target)
        unfinished.rename(file.with_name(f"{file.name}.gz"))
        file.unlink()
