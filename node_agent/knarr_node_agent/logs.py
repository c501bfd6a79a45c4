"""Reading a container's log files, in CRI format: ``<RFC 3339 time> <stdout|stderr> <F|P> <text>``.

Source: Kubernetes enhancement "CRI log format"; files are ``<pod logs>/<container>/<attempt>.log``, what was rotated
away has a suffix (see ``log_rotation``). Memory is bounded: a tail is found by reading backwards in blocks.
"""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from knarr_api.errors import NotFound
from knarr_client.clock import Clock

BLOCK_BYTES = 64 * 1024
FOLLOW_POLL_S = 0.1
MAX_LINE_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What of the log. tail_lines: None for all. since: nothing older."""

    follow: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: datetime.datetime | None = None
    limit_bytes: int | None = None


async def read(path: Path, asked: Asked, ended: Callable[[], bool], clock: Clock) -> AsyncIterator[bytes]:
    """Chunks of whole lines. ended: whether the container has ended, so that following may stop.

    Raises NotFound when there is no log.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise NotFound(f"no log at {path.parent.name}/{path.name}: the container has not started") from None
    left = asked.limit_bytes
    inode = os.fstat(descriptor).st_ino
    try:
        if asked.tail_lines is not None:
            os.lseek(descriptor, await asyncio.to_thread(_tail_offset, descriptor, asked.tail_lines), os.SEEK_SET)
        shape = Shape(asked)
        rest = b""
        rotated = False
        while True:
            done = ended()
            block = await asyncio.to_thread(os.read, descriptor, BLOCK_BYTES)
            if block:
                lines, rest = _split(rest + block)
                data = b"".join(map(shape.line, lines))
                if left is not None:
                    data, left = data[:left], left - len(data)
                if data:
                    yield data
                if left is not None and left <= 0:
                    return
                continue
            if not asked.follow:
                return
            if _is_rotated(path, inode):
                if not rotated:
                    rotated = True  # once more to the end: what was written before the new file was taken into use
                    continue
                os.close(descriptor)
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
                inode, rotated = os.fstat(descriptor).st_ino, False
                continue
            if done:
                return
            await clock.sleep(FOLLOW_POLL_S)
    finally:
        os.close(descriptor)


class Shape:
    """What the user sees of a file's lines. A long line of a container is several of the file, all but the last of them
    tagged as partial: it has one time, that of its beginning."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._inside = False
        self._left_out = False
        """The container's present line is older than asked for."""

    def line(self, raw: bytes) -> bytes:
        parts = raw.split(b" ", 3)
        if len(parts) != 4:
            return raw + b"\n"
        stamp, _, tag, text = parts
        if not self._inside:
            self._left_out = self._asked.since is not None and _time(stamp) < self._asked.since
        prefix = stamp + b" " if self._asked.timestamps and not self._inside else b""
        self._inside = tag.startswith(b"P")
        return b"" if self._left_out else prefix + text + (b"" if self._inside else b"\n")


def _split(data: bytes) -> tuple[list[bytes], bytes]:
    *lines, rest = data.split(b"\n")
    if len(rest) > MAX_LINE_BYTES:
        return [*lines, rest], b""
    return lines, rest


def _tail_offset(descriptor: int, lines: int) -> int:
    """Where the last ``lines`` lines of a file begin."""
    position = os.lseek(descriptor, 0, os.SEEK_END)
    if lines <= 0:
        return position
    seen = 0
    first = True
    while position > 0:
        start = max(position - BLOCK_BYTES, 0)
        block = os.pread(descriptor, position - start, start)
        end = len(block)
        if first and block.endswith(b"\n"):
            end -= 1
        first = False
        while (found := block.rfind(b"\n", 0, end)) >= 0:
            seen += 1
            if seen == lines:
                return start + found + 1
            end = found
        position = start
    return 0


def _is_rotated(path: Path, inode: int) -> bool:
    """Whether another file has taken the path over."""
    try:
        return os.stat(path, follow_symlinks=False).st_ino != inode
    except FileNotFoundError:
        return False


def _time(stamp: bytes) -> datetime.datetime:
    text = stamp.decode(errors="replace").rstrip("Z")
    head, _, fraction = text.partition(".")
    try:
        moment = datetime.datetime.strptime(head, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
        return moment.replace(microsecond=int((fraction + "000000")[:6]) if fraction.isdecimal() else 0)
    except ValueError:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
