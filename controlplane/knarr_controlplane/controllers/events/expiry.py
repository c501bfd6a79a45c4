"""Deletes events that nobody repeated for a while."""

from __future__ import annotations

import asyncio
import datetime

import structlog

from knarr_api import errors
from knarr_api.types.core_v1 import Event
from knarr_client.client import Client
from knarr_client.clock import Clock

PAGE = 100
"""Between two of them others get their turn: reading one takes some milliseconds."""


class EventExpiry:
    """Lists events page by page every ``interval_s``; keeps none in memory."""

    def __init__(self, client: Client, clock: Clock, *, ttl_s: float, interval_s: float) -> None:
        self._client = client
        self._clock = clock
        self._ttl = datetime.timedelta(seconds=ttl_s)
        self._interval_s = interval_s
        self._log = structlog.get_logger("knarr.events")

    async def run(self) -> None:
        while True:
            try:
                await self.expire()
            except errors.Expired:
                continue
            except errors.KnarrError as error:
                self._log.warning("could not delete old events", error=str(error))
            await self._clock.sleep(self._interval_s)

    async def expire(self) -> None:
        continue_ = ""
        oldest = self._clock.now() - self._ttl
        doomed: list[Event] = []
        while True:
            page = await self._client.list(Event, limit=PAGE, continue_=continue_)
            doomed += [event for event in page.items if (time := last_seen(event)) is not None and time < oldest]
            continue_ = page.continue_
            if not continue_:
                break
            await asyncio.sleep(0)
        for event in doomed:
            metadata = event.metadata
            try:
                await self._client.delete(
                    Event,
                    metadata.name,
                    metadata.namespace,
                    uid=metadata.uid,
                    resource_version=metadata.resource_version,
                )
            except (errors.NotFound, errors.Conflict):
                continue


def last_seen(event: Event) -> datetime.datetime | None:
    """When it happened last, in whichever way it says so."""
    if event.series is not None and event.series.last_observed_time is not None:
        return event.series.last_observed_time
    return event.last_timestamp or event.event_time or event.first_timestamp or event.metadata.creation_timestamp
