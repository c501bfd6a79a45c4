"""Showing what changes from now on, whatever becomes of the connection."""

from __future__ import annotations

import asyncio

from knarr_api.errors import DeadlineExceeded, Expired, ResourceExhausted, Unavailable
from knarr_api.kinds import Kind
from knarr_cli.printing import Printer
from knarr_client.client import EventType
from knarr_client.grpc import GrpcClient

ATTEMPTS, PAUSE_S = 60, 0.5


async def follow(
    client: GrpcClient,
    kind: Kind,
    space: str,
    selector: str,
    fields: str,
    revision: str,
    printer: Printer,
    *,
    limit_s: float | None = None,
) -> None:
    """Show every change, also over lost connections; never returns. Raises Unavailable when the API stays away,
    DeadlineExceeded after the limit."""
    try:
        async with asyncio.timeout(limit_s):
            await _follow(client, kind, space, selector, fields, revision, printer)
    except TimeoutError:
        raise DeadlineExceeded(f"the watch was ended after {limit_s:g} s, as --request-timeout says") from None


async def _follow(
    client: GrpcClient, kind: Kind, space: str, selector: str, fields: str, revision: str, printer: Printer
) -> None:
    space = space if kind.namespaced else ""
    failures, expired = 0, False
    while True:
        try:
            if expired:
                page = await client.raw.list(kind, space, label_selector=selector, field_selector=fields)
                revision, expired = page.resource_version, False
                for item in page.items:
                    printer.change(kind, item)
            watching = client.raw.watch(
                kind, space, label_selector=selector, field_selector=fields, resource_version=revision
            )
            async for batch in watching:
                failures = 0
                for event in batch:
                    revision = event.resource_version
                    if event.type is not EventType.BOOKMARK and event.object is not None:
                        printer.change(kind, event.object, event.type.name)
        except Expired:
            expired = True
        except (Unavailable, ResourceExhausted):  # the latter where what was written was not taken for long
            failures += 1
            if failures > ATTEMPTS:
                raise
            await asyncio.sleep(PAUSE_S)
