"""Following a container's log over lost connections: no line is shown twice and none is left out.

Each line is asked for with its time, which is taken off again unless the user wants it. Where the connection breaks,
lines from shortly before are asked for once more, and what was shown already is passed over: a place in a log is a
line's time, its number among lines of that time, and how much of it.
"""

from __future__ import annotations

import asyncio
import datetime
import re
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc.aio

from knarr_api import grpc_status
from knarr_api.errors import Unavailable
from knarr_proto.v1 import pods_pb2

ATTEMPTS, PAUSE_S = 60, 0.5
LASTED_S = 2.0
"""A connection that broke before did not work; the user is told."""
OVERLAP_S = 60
"""How much older than the clocks say the last line may be."""
TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?\S* ")
Line = tuple[bytes, bytes, int]
START: Line = (b"", b"", 0)


class Shown:
    """How far a log was shown. ``take`` gives what of the next data is new.

    timestamps: whether the user wants to see them.
    """

    def __init__(self, *, timestamps: bool) -> None:
        self._timestamps = timestamps
        self._shown, self._shown_bytes = START, 0
        """The last line that was shown, and how much of it."""
        self._line, self._bytes = START, 0
        """The one that is being taken, and how much of it came before."""
        self._inside = False
        self._catching_up = False

    @property
    def time(self) -> datetime.datetime | None:
        """Of the last line."""
        if self._shown == START:
            return None
        return datetime.datetime.fromisoformat(self._shown[0].decode()).replace(tzinfo=datetime.UTC)

    def reconnect(self) -> None:
        """What was shown already may come again from here on."""
        self._line, self._bytes, self._inside = START, 0, False
        self._catching_up = True

    def take(self, data: bytes) -> bytes:
        new: list[bytes] = []
        for piece in re.findall(rb"[^\n]*\n|[^\n]+", data):
            text, prefix = piece, b""
            if not self._inside:
                text, prefix = self._begin(piece)
            new.append(self._new(text, prefix))
            self._bytes += len(text)
            self._inside = not text.endswith(b"\n")
        return b"".join(new)

    def _begin(self, piece: bytes) -> tuple[bytes, bytes]:
        """A line begins: its text, and what is shown before it."""
        match = TIME.match(piece)
        second, fraction, number = self._line
        if match is not None:
            stamp = (match[1], (match[2] or b"").ljust(9, b"0"))
            number = number + 1 if stamp == (second, fraction) else 1
            second, fraction = stamp
        else:  # no line of a log: shown as it is
            number += 1
        self._line, self._bytes = (second, fraction, number), 0
        if match is None:
            return piece, b""
        return piece[match.end() :], match[0] if self._timestamps else b""

    def _new(self, text: bytes, prefix: bytes) -> bytes:
        if self._catching_up:
            if self._line < self._shown:
                return b""
            if self._line == self._shown:
                seen = min(max(self._shown_bytes - self._bytes, 0), len(text))
                text, prefix = text[seen:], prefix if not self._shown_bytes else b""
                if not text:
                    return b""
                self._shown_bytes = max(self._shown_bytes, self._bytes + seen + len(text))
                return text
            self._catching_up = False
        self._shown, self._shown_bytes = self._line, self._bytes + len(text)
        return prefix + text


async def follow(logs: Any, request: Any) -> AsyncIterator[bytes]:
    """The log, as long as it goes on. logs: the method of the API, request: what is asked for, with ``follow``.

    Raises what the API raises, Unavailable when it stays away.
    """
    shown = Shown(timestamps=request.timestamps)
    asking = pods_pb2.LogsRequest()
    asking.CopyFrom(request)
    asking.timestamps = True
    failures, lasted = 0, False
    while True:
        began_s = heard_s = time.monotonic()
        try:
            async for answer in logs(asking):
                failures, lasted, heard_s = 0, True, time.monotonic()
                yield shown.take(answer.data)
            return
        except grpc.aio.AioRpcError as error:
            translated = grpc_status.from_rpc(error)
            lasted = lasted or time.monotonic() - began_s > LASTED_S
            failures += 1
            if not isinstance(translated, Unavailable) or not lasted or failures > ATTEMPTS:
                raise translated from error
        await asyncio.sleep(PAUSE_S)
        if shown.time is not None:
            asking.ClearField("tail_lines")
            old_s = (datetime.datetime.now(datetime.UTC) - shown.time).total_seconds()
            asking.since_seconds = int(max(old_s, time.monotonic() - heard_s)) + OVERLAP_S
        shown.reconnect()
