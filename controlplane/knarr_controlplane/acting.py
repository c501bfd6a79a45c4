"""What the leader does for as long as it leads."""

from __future__ import annotations

import asyncio

from knarr_client.client import Client
from knarr_client.clock import Clock
from knarr_controlplane import controllers, scheduler
from knarr_controlplane.controllers.informers import StandingInformers, TermInformers


async def act(
    client: Client,
    clock: Clock,
    identity: str,
    *,
    standing: StandingInformers,
    scheduling: scheduler.SchedulerSettings,
    controlling: controllers.ControllerSettings,
) -> None:
    """Schedule and control until cancelled. identity: of this process, in events. standing: its informers.

    Nothing is decided before all is known that was written before the term began. The scheduler comes first: it needs
    little, and pods wait for it.
    """
    await standing.caught_up()
    of_scheduler, of_controllers = TermInformers(standing, clock), TermInformers(standing, clock)
    async with asyncio.TaskGroup() as group:
        group.create_task(scheduler.run(client, settings=scheduling, clock=clock, informers=of_scheduler))
        group.create_task(of_scheduler.run())  # after the scheduler has asked for its own
        await of_scheduler.synced()
        group.create_task(
            controllers.run(client, settings=controlling, clock=clock, identity=identity, informers=of_controllers)
        )
