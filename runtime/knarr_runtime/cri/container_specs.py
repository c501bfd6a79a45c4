"""From a container's record to what the launcher is told: with its image's layers, the pod's files and CDI's edits."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

from knarr_runtime import cdi, start_request
from knarr_runtime.cri import host_files, selinux, specs
from knarr_runtime.cri.records import ContainerRecord, Records, SandboxRecord
from knarr_runtime.images.store import ImageStore
from knarr_runtime.spec import ContainerSpec


class ContainerSpecs:
    def __init__(self, images: ImageStore, records: Records, cdi_directories: tuple[Path, ...]) -> None:
        self._images = images
        self._records = records
        self._cdi_directories = cdi_directories

    async def of(self, record: ContainerRecord, sandbox: SandboxRecord) -> ContainerSpec:
        """Raises Invalid, NotFound."""
        image = self._images.find(record.image_id)
        config = record.config
        spec = specs.container(
            record.id,
            sandbox.id,
            config,
            sandbox.config,
            image,
            self._images.layer_paths(image),
            self._records.container_directory(record.id),
            host_files.mounts(self._records.sandbox_directory(sandbox.id)),
            {path: self._images.layer_paths(self._images.find(of)) for path, of in record.volume_images.items()},
        )
        devices = cdi.requested([device.name for device in config.CDI_devices], config.annotations)
        if not devices:
            return spec
        return cdi.apply(spec, await asyncio.to_thread(cdi.edits, devices, self._cdi_directories))


async def prepare_mounts(spec: ContainerSpec, config: Any) -> None:
    """What is mounted is there, and labelled as it is to be. Raises Invalid, NotFound."""
    for mount in spec.mounts:
        if mount.layers:  # tells now what is missing in the image
            os.close(await asyncio.to_thread(start_request.open_volume, mount))
        elif mount.kind == "bind":
            host_files.make_source(mount)
    for mount in config.mounts:
        if mount.selinux_relabel and mount.host_path and spec.mount_label:
            await asyncio.to_thread(selinux.relabel, mount.host_path, spec.mount_label)
