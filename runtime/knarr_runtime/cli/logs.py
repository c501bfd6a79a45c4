"""Reading log files in CRI's format: ``2026-01-02T03:04:05.678901234Z stdout F the line``.

A line that was written in parts (tag P) is put together again. Source: Kubernetes' CRI log format.
"""

from __future__ import annotations

import datetime
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

POLL_S = 0.2
FRACTION = re.compile(r":\d\d\.(\d+)")
MAX_LINE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """text: with its end of line, if it had one."""

    time: str
    stream: str
    text: bytes


def parse(raw: bytes) -> tuple[Line, bool] | None:
    """One line of the file and whether it ends there; None for what is none (half-written, damaged)."""
    parts = raw.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    whole = parts[2][:1] == b"F"
    text = parts[3] if len(parts) == 4 else b""
    return Line(parts[0].decode(errors="replace"), parts[1].decode(), text + (b"\n" if whole else b"")), whole


def joined(lines: Iterable[bytes]) -> Iterator[Line]:
    """Lines of the file as lines of the program. A part longer than a mebibyte is passed on as it is."""
    waiting: dict[str, Line] = {}
    for raw in lines:
        parsed = parse(raw)
        if parsed is None:
            continue
        line, whole = parsed
        before = waiting.pop(line.stream, None)
        if before is not None:
            line = Line(before.time, line.stream, before.text + line.text)
        if whole or len(line.text) > MAX_LINE_BYTES:
            yield line
        else:
            waiting[line.stream] = line
    yield from waiting.values()


def rotated(path: Path) -> list[Path]:
    """The log's files, oldest first; rotation appends a time to the name."""
    older = sorted(p for p in path.parent.glob(f"{path.name}.*") if p.suffix != ".gz")
    return [*older, path]


def read(path: Path) -> Iterator[bytes]:
    for part in rotated(path):
        try:
            with part.open("rb") as file:
                yield from file
        except FileNotFoundError:
            continue


def last(lines: Iterable[Line], count: int | None) -> Iterable[Line]:
    """All of them, or the last ``count``."""
    return lines if count is None else deque(lines, maxlen=count)


def since(text: str, now: datetime.datetime) -> str:
    """The time to compare lines with: RFC 3339, or so long ago (``10m``). Raises Invalid."""
    from knarr_runtime.cli.parsing import duration_s

    fraction = FRACTION.search(text)
    try:
        moment = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        fraction = None
        moment = now - datetime.timedelta(seconds=duration_s(text))
    if moment.tzinfo is None:
        moment = moment.astimezone()
    digits = fraction[1][:9] if fraction is not None else f"{moment.microsecond:06}"
    return f"{moment.astimezone(datetime.UTC):%Y-%m-%dT%H:%M:%S}.{digits:0<9}Z"


def follow(path: Path, running: Callable[[], bool], wait: Callable[[float], object]) -> Iterator[bytes]:
    """Lines as they come, across rotations, until the container has ended and all is read."""
    file = _open(path)
    partial = b""
    try:
        while True:
            ended = not running()
            while True:
                chunk = file.readline(MAX_LINE_BYTES) if file is not None else b""
                if not chunk:
                    break
                partial += chunk
                if partial.endswith(b"\n"):
                    yield partial
                    partial = b""
            if file is None or _replaced(path, file.fileno()):
                renewed = _open(path)
                if renewed is not None:
                    if file is not None:
                        file.close()
                    file = renewed
                    continue
            if ended:
                return
            wait(POLL_S)
    finally:
        if file is not None:
            file.close()


def _open(path: Path) -> Any:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _replaced(path: Path, descriptor: int) -> bool:
    try:
        found, held = path.stat(), os.fstat(descriptor)
    except FileNotFoundError:
        return False
    return (found.st_dev, found.st_ino) != (held.st_dev, held.st_ino)
