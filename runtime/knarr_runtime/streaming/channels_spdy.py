"""A remote command over SPDY: the client opens a stream per channel and says which in the header ``streamType``."""

from __future__ import annotations

import asyncio
import contextlib

from knarr_runtime.streaming import status
from knarr_runtime.streaming.channels import Output
from knarr_runtime.streaming.protocols import Version
from knarr_runtime.streaming.spdy.frames import Status
from knarr_runtime.streaming.spdy.session import Session, Stream
from knarr_runtime.streaming.status import Outcome

STREAM_TYPE = "streamtype"


class SpdyChannels:
    """streams: by type, all that were expected."""

    def __init__(self, session: Session, version: Version, streams: dict[str, Stream]) -> None:
        self._session = session
        self._version = version
        self._streams = streams
        self.gone = session.gone

    async def read_stdin(self) -> bytes:
        return await self._streams["stdin"].read()

    async def read_resize(self) -> bytes:
        stream = self._streams.get("resize")
        return await stream.read() if stream is not None else b""

    async def write(self, output: Output, data: bytes) -> None:
        await self._streams["stdout" if output is Output.STDOUT else "stderr"].write(data)

    async def finish(self, outcome: Outcome) -> None:
        for name in ("stdout", "stderr"):
            if name in self._streams:
                await self._streams[name].end()
        last = status.document(outcome) if self._version >= Version.V4 else status.sentence(outcome).encode()
        error = self._streams["error"]
        with contextlib.suppress(ConnectionError):
            await error.write(last)
        for stream in self._streams.values():
            await stream.end()


def expected(version: Version, *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> frozenset[str]:
    """The streams that a client opens for a request."""
    wanted = {"error": True, "stdin": stdin, "stdout": stdout, "stderr": stderr and not tty}
    wanted["resize"] = tty and version >= Version.V3
    return frozenset(name for name, is_wanted in wanted.items() if is_wanted)


async def accept(session: Session, wanted: frozenset[str], timeout_s: float) -> dict[str, Stream] | None:
    """The client's streams; those of no use are refused. None: it did not open all in time, or left."""
    found: dict[str, Stream] = {}
    try:
        async with asyncio.timeout(timeout_s):
            while len(found) < len(wanted):
                stream = await session.streams.get()
                if stream is None:
                    return None
                name = stream.headers.get(STREAM_TYPE, "")
                if name in wanted and name not in found:
                    found[name] = stream
                else:
                    await stream.reset(Status.REFUSED_STREAM)
    except TimeoutError:
        return None
    session.refuse()
    return found
