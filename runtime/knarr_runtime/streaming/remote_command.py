"""An exec or attach with its client: copies streams until the process ends or the client leaves, then tells how it was.

As containerd does it: a client that leaves takes only the streams along (a terminal's process is hung up by that, a
pipe's reads its end or finds nobody at the other); an attached container goes on. What the process wrote before it
ended has been sent before the end is told. Unlike there, a child that keeps the streams open keeps no client waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from knarr_runtime.errors import RuntimeFailure
from knarr_runtime.streaming import status
from knarr_runtime.streaming.channels import Channels, Output
from knarr_runtime.streaming.descriptors import Descriptor
from knarr_runtime.streaming.status import Failed, Outcome, Success

_LINGER_S = 0.1
_ATTACH_LINGER_S = 5.0  # the log reader closes the streams once it has passed everything on
_MAX_RESIZE_CHARACTERS = 4096
_MAX_CELLS = 0xFFFF


class Process(Protocol):
    """Descriptors of the output, non-blocking, -1 where absent; a terminal's is ``stdout`` alone."""

    stdout: int
    stderr: int

    async def wait(self) -> int: ...
    def resize(self, columns: int, rows: int) -> None: ...
    async def input(self) -> int: ...
    async def close_stdin(self) -> None: ...
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of the process the client is to have; the rest of its output is dropped. exit_code: whether the outcome is
    the process's, or success whatever it was (attach)."""

    tty: bool
    stdin: bool
    stdout: bool
    stderr: bool
    exit_code: bool


async def serve(process: Process, channels: Channels, wanted: Wanted) -> None:
    """Takes over ``process`` and closes it."""
    work = asyncio.create_task(_work(process, channels, wanted))
    gone = asyncio.create_task(channels.gone.wait())
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        work.cancel()
        gone.cancel()
        await asyncio.wait({work, gone})
        process.close()
    if not work.cancelled():
        await channels.finish(work.result())


async def _work(process: Process, channels: Channels, wanted: Wanted) -> Outcome:
    outputs = {}
    if process.stdout >= 0:
        outputs[Output.STDOUT] = Descriptor(process.stdout)
    if process.stderr >= 0 and process.stderr != process.stdout:
        outputs[Output.STDERR] = Descriptor(process.stderr)
    ended = asyncio.Event()
    outcome: Outcome = Failed(message="the client gave up one of the streams")
    try:
        async with asyncio.TaskGroup() as group:
            incoming = []
            if wanted.stdin:
                incoming.append(group.create_task(_feed(process, channels)))
            if wanted.tty:
                incoming.append(group.create_task(_resize(process, channels)))
            linger_s = _LINGER_S if wanted.exit_code else _ATTACH_LINGER_S
            copies = []
            for output, source in outputs.items():
                is_wanted = wanted.stdout if output is Output.STDOUT else wanted.stderr
                copy = _copy(source, output, channels if is_wanted else None, ended, linger_s)
                copies.append(group.create_task(copy))
            try:
                outcome = await (_exited(process) if wanted.exit_code else _attached(process, copies))
            except RuntimeFailure as error:
                outcome = Failed(message=str(error))
            ended.set()
            for source in outputs.values():
                source.wake()
            for task in incoming:
                task.cancel()
    except* ConnectionError:
        pass
    return outcome


async def _exited(process: Process) -> Outcome:
    return status.of_exit(await process.wait())


async def _attached(process: Process, copies: Sequence[asyncio.Task[None]]) -> Outcome:
    """Until the container has ended, or (the log reader was restarted, the client was too slow) its output."""
    waiting = asyncio.create_task(process.wait())
    all_copied = asyncio.create_task(_all_done(copies))
    try:
        await asyncio.wait({waiting, all_copied}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        all_copied.cancel()
    return Success()


async def _all_done(copies: Sequence[asyncio.Task[None]]) -> None:
    """Never, where there are none."""
    await (asyncio.wait(copies) if copies else asyncio.Event().wait())


async def _copy(
    source: Descriptor, output: Output, channels: Channels | None, ended: asyncio.Event, linger_s: float
) -> None:
    """Until the end of the stream; after that of the process only what is there, and a moment longer."""
    source.widen()
    while True:
        data = source.read_now()
        if data is None:
            if not ended.is_set():
                await source.readable()
                continue
            try:
                async with asyncio.timeout(linger_s):
                    await source.readable()
            except TimeoutError:
                return
            continue
        if not data:
            return
        if channels is not None:
            await channels.write(output, data)
        await asyncio.sleep(0)  # a process that always has more must not keep the loop for itself


async def _feed(process: Process, channels: Channels) -> None:
    """The client's stdin to the process, whose own ends with it; a terminal has no such end."""
    target = Descriptor(await process.input())
    broken = target.fd < 0
    with contextlib.suppress(ConnectionError):
        while data := await channels.read_stdin():
            if broken:
                continue
            try:
                await target.write(data)
            except OSError:  # nobody reads it any more; the client may go on sending
                broken = True
        await process.close_stdin()


async def _resize(process: Process, channels: Channels) -> None:
    text = ""
    with contextlib.suppress(ConnectionError):
        while data := await channels.read_resize():
            text += data.decode("utf-8", "replace")
            sizes, text = take_sizes(text)
            for columns, rows in sizes[-1:]:
                with contextlib.suppress(OSError):
                    process.resize(columns, rows)


def take_sizes(text: str) -> tuple[list[tuple[int, int]], str]:
    """The (columns, rows) of all complete ``{"Width": …, "Height": …}``, and what remains. What is none is dropped."""
    sizes = []
    position = 0
    for value, position in _objects(text):  # noqa: B007 the last position is what counts
        match value:
            case {"Width": int(columns), "Height": int(rows)} if 0 < columns <= _MAX_CELLS and 0 < rows <= _MAX_CELLS:
                sizes.append((columns, rows))
    rest = text[position:]
    return sizes, rest if len(rest) <= _MAX_RESIZE_CHARACTERS else ""


def _objects(text: str) -> Iterator[tuple[object, int]]:
    decoder = json.JSONDecoder()
    position = 0
    while (position := text.find("{", position)) >= 0:
        try:
            value, position = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            return
        yield value, position
