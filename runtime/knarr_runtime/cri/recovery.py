"""Records and launcher brought together after a restart: neither may know of what the other has not."""

from __future__ import annotations

import structlog

from knarr_runtime.cri import standalone
from knarr_runtime.cri.records import ContainerRecord, Records, SandboxRecord
from knarr_runtime.launcher import Launcher


async def recover(launcher: Launcher, records: Records) -> tuple[dict[str, SandboxRecord], dict[str, ContainerRecord]]:
    """Sandboxes and containers by id. What the last daemon left half made is removed."""
    log = structlog.get_logger("knarr.cri")
    recovered = await launcher.recover()
    sandboxes, containers = records.load()
    for identifier in [i for i, record in sandboxes.items() if not record.made]:  # the last daemon died at it
        log.info("removing a sandbox that was half made", sandbox=identifier)
        records.remove_sandbox(identifier)
        del sandboxes[identifier]
    known_sandboxes = {sandbox.spec.id for sandbox in recovered.sandboxes}
    known_containers = {container.spec.id for container in recovered.containers}
    for identifier in known_containers - containers.keys():
        await launcher.remove_container(identifier)
    for identifier in known_sandboxes - sandboxes.keys():
        await launcher.remove_sandbox(identifier)
    half_renewed = {i for i, one in containers.items() if standalone.is_own(one.config)} - known_containers
    known_sandboxes |= {containers[i].sandbox_id for i in half_renewed}  # what they wrote is not lost
    for identifier in [i for i in containers if i not in known_containers | half_renewed]:
        records.remove_container(identifier)
        del containers[identifier]
    for identifier in [i for i in sandboxes if i not in known_sandboxes]:
        records.remove_sandbox(identifier)
        del sandboxes[identifier]
    return sandboxes, containers
