"""What the leader does for as long as it leads."""

from __future__ import annotations

import asyncio

from knarr_client.client import Client
from knarr_client.clock import Clock
from knarr_controlplane import controllers, scheduler
from knarr_controlplane.controllers.informers import SharedInformers


async def act(
    client: Client,
    clock: Clock,
    identity: str,
    *,
    scheduling: scheduler.SchedulerSettings,
    controlling: controllers.ControllerSettings,
) -> None:
    """Schedule and control until cancelled, with one set of informers. identity: of this process, in events."""
    informers = SharedInformers(client, clock)
    works = (  # the scheduler asks for its informers before the controllers run them
        scheduler.run(client, settings=scheduling, clock=clock, informers=informers),
        controllers.run(client, settings=controlling, clock=clock, identity=identity, informers=informers),
    )
    async with asyncio.TaskGroup() as group:
        for work in works:
            group.create_task(work)
