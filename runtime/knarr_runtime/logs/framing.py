"""Output to lines of the CRI log format: ``2026-11-21T02:03:04.123456789Z stdout F text``. Pure.

A line longer than LINE_BYTES is cut into pieces tagged ``P`` (partial) that end with one tagged ``F`` (full).
Source: Kubernetes, kubelet CRI logging design.
"""

from __future__ import annotations

import time

LINE_BYTES = 16 << 10
TIMESTAMP_BYTES = 30


def timestamp(now_ns: int) -> bytes:
    """RFC 3339 in UTC with nine digits, always TIMESTAMP_BYTES long, so that framing again gives the same length."""
    seconds, nanoseconds = divmod(now_ns, 1_000_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)).encode() + b".%09dZ" % nanoseconds


def takeable(data: bytes, *, full: bool, last: bool) -> int:
    """How many bytes of ``data`` to log now: up to the last newline; more only if it cannot or will not go on.

    full: the pipe has no room, so the rest of the line cannot come before this is taken. last: nothing will follow.
    """
    end = data.rfind(b"\n") + 1
    if end == 0 and (full or len(data) >= LINE_BYTES):
        return len(data)
    return len(data) if last else end


def frame(data: bytes, stamp: bytes, stream: bytes, *, last: bool = False) -> bytes:
    """``data`` as log lines; text after the last newline is partial, or with ``last`` full."""
    if not data:
        return b""
    full = b"%s %s F " % (stamp, stream)
    complete = data.endswith(b"\n")
    if complete and (len(data) <= LINE_BYTES or max(map(len, data.split(b"\n"))) <= LINE_BYTES):
        return full + data[:-1].replace(b"\n", b"\n" + full) + b"\n"
    partial = b"%s %s P " % (stamp, stream)
    lines: list[bytes] = []
    texts = data.split(b"\n")
    unfinished = texts.pop()
    for text in texts:
        while len(text) > LINE_BYTES:
            lines.append(partial + text[:LINE_BYTES])
            text = text[LINE_BYTES:]
        lines.append(full + text)
    while len(unfinished) > LINE_BYTES:
        lines.append(partial + unfinished[:LINE_BYTES])
        unfinished = unfinished[LINE_BYTES:]
    if unfinished:
        lines.append((full if last else partial) + unfinished)
    return b"\n".join(lines) + b"\n"
