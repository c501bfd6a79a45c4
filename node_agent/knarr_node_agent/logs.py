"""Reading a container's log files, in CRI format: ``<RFC 3339 time> <stdout|stderr> <F|P> <text>``.

Source: Kubernetes enhancement "CRI log format"; files are ``<pod logs>/<container>/<attempt>.log``, older rotations
have a suffix. Memory is bounded: a tail is found by reading backwards in blocks.
"""

from __future__ import annotations

import asyncio
import datetime
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from knarr_api.errors import NotFound

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


async def read(path: Path, asked: Asked, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
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
        rest = b""
        while True:
            done = ended()
            block = await asyncio.to_thread(os.read, descriptor, BLOCK_BYTES)
            if block:
                lines, rest = _split(rest + block)
                data = b"".join(line for raw in lines if (line := format_line(raw, asked)) is not None)
                if left is not None:
                    data, left = data[:left], left - len(data)
                if data:
                    yield data
                if left is not None and left <= 0:
                    return
                continue
            if not asked.follow:
                return
            reopened = _rotated(path, inode)
            if reopened is not None:
                os.close(descriptor)
                descriptor, inode = reopened, os.fstat(reopened).st_ino
                continue
            if done:
                return
            await asyncio.sleep(FOLLOW_POLL_S)
    finally:
        os.close(descriptor)


def format_line(raw: bytes, asked: Asked) -> bytes | None:
    """What the user sees of one line of the file; None when it is older than asked for."""
    parts = raw.split(b" ", 3)
    if len(parts) != 4:
        return raw + b"\n"
    stamp, _, tag, text = parts
    if asked.since is not None and _time(stamp) < asked.since:
        return None
    prefix = stamp + b" " if asked.timestamps else b""
    return prefix + text + (b"" if tag.startswith(b"P") else b"\n")


def newest(directory: Path, container: str, *, previous: bool) -> Path:
    """The log of the newest run, or of the one before. Raises NotFound."""
    folder = directory / container
    attempts = sorted(int(p.stem) for p in folder.glob("*.log") if p.stem.isdecimal()) if folder.is_dir() else []
    wanted = attempts[-2:-1] if previous else attempts[-1:]
    if not wanted:
        what = "previous terminated container" if previous else "container"
        raise NotFound(f'{what} "{container}" has no log' if not previous else f'{what} "{container}" not found')
    return folder / f"{wanted[0]}.log"


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


def _rotated(path: Path, inode: int) -> int | None:
    """A descriptor of the file that has taken the path over, if one has."""
    try:
        if os.stat(path).st_ino == inode:
            return None
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None


def _time(stamp: bytes) -> datetime.datetime:
    text = stamp.decode(errors="replace").rstrip("Z")
    head, _, fraction = text.partition(".")
    try:
        moment = datetime.datetime.strptime(head, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=datetime.UTC)
        return moment.replace(microsecond=int((fraction + "000000")[:6]) if fraction.isdecimal() else 0)
    except ValueError:
        return datetime.datetime.max.replace(tzinfo=datetime.UTC)
