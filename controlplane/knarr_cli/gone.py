"""What is said of a deleted object, and waiting until it is gone."""

from __future__ import annotations

import asyncio

from knarr_api.errors import Expired, NotFound, Unavailable
from knarr_api.kinds import Kind
from knarr_cli.cells import at
from knarr_cli.session import shown
from knarr_client.client import EventType
from knarr_client.grpc import GrpcClient


def deleted(kind: Kind, name: str, namespace: str, word: str, form: str) -> str:
    if form == "name":
        return shown(kind, name)
    singular = f"{kind.singular}.{kind.group}" if kind.group else kind.singular
    return f'{singular} "{name}" {word}' + (f" from {namespace} namespace" if namespace else "")


async def until_gone(client: GrpcClient, kind: Kind, name: str, namespace: str, uid: str) -> None:
    """Returns when the object of that uid is not there any more."""
    while True:
        try:
            present = await client.raw.get(kind, name, namespace)
        except NotFound:
            return
        if uid and at(present, "metadata.uid") != uid:
            return
        try:
            watching = client.raw.watch(
                kind,
                namespace,
                field_selector=f"metadata.name={name}",
                resource_version=at(present, "metadata.resourceVersion"),
            )
            async for batch in watching:
                if any(event.type is EventType.DELETED for event in batch):
                    return
        except (Expired, Unavailable):
            await asyncio.sleep(0.2)
