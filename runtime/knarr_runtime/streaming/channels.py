"""A remote command's client: stdin and terminal sizes come from it, output and the end go to it.

Two protocols carry them: streams of SPDY, and channel numbers in WebSocket messages.
"""

from __future__ import annotations

import asyncio
import enum
from typing import Protocol

from knarr_runtime.streaming.status import Outcome


class Output(enum.IntEnum):
    """Numbers are those of the WebSocket channels."""

    STDOUT = 1
    STDERR = 2


class Channels(Protocol):
    """gone: set when the client has left, or can no longer be understood."""

    gone: asyncio.Event

    async def read_stdin(self) -> bytes:
        """Some bytes, or b"" when the client closed it. Raises ConnectionError."""

    async def read_resize(self) -> bytes:
        """Some of the sizes, JSON objects one after the other; b"" at the end. Raises ConnectionError."""

    async def write(self, output: Output, data: bytes) -> None:
        """Returns when the client takes it fast enough. Raises ConnectionError."""

    async def finish(self, outcome: Outcome) -> None:
        """Everything has been written; ends all. A client that has gone is no error."""
