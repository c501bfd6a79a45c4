"""The mark in a store that says how its values are to be read, so that no version misreads what a later one wrote.

It is ``/registry/knarr/format/store``, JSON: ``format``, a number, and ``version``, of the Knarr that set it. Values of
one format can be read by every version that knows it: new kinds and fields do not change it, since older versions keep
what they do not know. A change that would make an older version lose or misunderstand something counts it up; a
control plane then brings an older store to its own format when it starts (``STEPS``), and an older control plane does
not start, or ends where it runs. A store without the mark is of format 1. It is in backups like everything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import structlog

from knarr_api.errors import Internal, Invalid, KnarrError
from knarr_controlplane.store.protocol import KeyConflict, Put, Store
from knarr_controlplane.version import VERSION

FORMAT = 1
KEY = "/registry/knarr/format/store"
LOOK_S = 10.0
STEPS: Mapping[int, Callable[[Store], Awaitable[None]]] = {}
"""From a format to the next, by the older one's number. May be broken off and repeated, and meet control planes of the
same version that do the same; those of older versions have been stopped: the notes of such a version say so."""


class Mark(msgspec.Struct, frozen=True):
    """As stored."""

    format: int
    version: str


async def adopt(store: Store) -> None:
    """Before anything else is read: see that the store can be read, bring it to this format, mark it.

    Raises Invalid for a later format, Internal for a mark that is damaged.
    """
    mark, revision = await _read(store)
    present = mark.format if mark is not None else FORMAT
    check(mark)
    for step in range(present, FORMAT):
        structlog.get_logger("knarr.store").info("the store is brought to a later format", from_format=step)
        await STEPS[step](store)
    if mark is None or present < FORMAT:
        try:
            await store.commit([Put(KEY, msgspec.json.encode(Mark(FORMAT, VERSION)), revision)])
        except KeyConflict:
            await adopt(store)


async def watch(store: Store, *, look_s: float = LOOK_S) -> None:
    """Look at the mark now and then. Raises Invalid once a later version has changed the format."""
    while True:
        await asyncio.sleep(look_s)
        try:
            mark, _ = await _read(store)
        except KnarrError:
            continue
        check(mark)


def check(mark: Mark | None) -> None:
    """Raises Invalid for a later format."""
    if mark is not None and mark.format > FORMAT:
        raise Invalid(
            f"the store has format {mark.format}, set by Knarr {mark.version}; this is Knarr {VERSION}, which knows "
            f"formats up to {FORMAT}: start that version or a later one, or restore a backup from before"
        )


def parse(value: bytes) -> Mark:
    """Raises Internal for what is no mark."""
    try:
        return msgspec.json.decode(value, type=Mark)
    except msgspec.DecodeError as error:
        raise Internal(f"{KEY} is damaged: {error}; restore the store from a backup") from error


async def _read(store: Store) -> tuple[Mark | None, int]:
    entry = await store.get(KEY)
    return (parse(entry.value), entry.revision) if entry is not None else (None, 0)
