"""Keeps images from filling the disk; see :mod:`knarr_runtime.images.collecting`."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

import structlog

from knarr_runtime.errors import RuntimeFailure
from knarr_runtime.images.collecting import Disk, Thresholds, decide
from knarr_runtime.images.store import ImageStore


class ImageCollection:
    """in_use: ids of images that must stay."""

    def __init__(self, images: ImageStore, in_use: Callable[[], set[str]], thresholds: Thresholds) -> None:
        self._images = images
        self._in_use = in_use
        self._thresholds = thresholds
        self._log = structlog.get_logger("knarr.images")

    async def follow(self) -> None:
        """Looks now, and now and then, until cancelled."""
        while True:
            try:
                await self.collect()
            except OSError as error:
                self._log.warning("the disk could not be looked at", error=str(error))
            await asyncio.sleep(self._thresholds.every_s)

    async def collect(self) -> int:
        """How many images went. One that has come into use meanwhile stays. Raises OSError."""
        status = await asyncio.to_thread(os.statvfs, self._images.root)
        total = status.f_blocks * status.f_frsize
        disk = Disk(total=total, used=total - status.f_bavail * status.f_frsize)
        count = 0
        for image in decide(self._images.images(), self._in_use(), disk, self._thresholds, time.time()):
            try:
                await asyncio.to_thread(self._images.remove, image.id, self._in_use())
            except RuntimeFailure as error:
                self._log.warning("image not removed", image=image.id, error=str(error))
                continue
            count += 1
            self._log.info("image removed: the disk is full", image=image.id, names=image.names, percent=disk.percent)
        return count
