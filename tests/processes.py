"""Processes a test starts beside itself."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.slowness import patient

PATIENCE_S = patient(30.0)


@contextlib.contextmanager
def running(words: Sequence[str | Path], **how: Any) -> Iterator[subprocess.Popen[Any]]:
    """The process, killed at the end: ``Popen`` as a context manager waits for ever when its body fails."""
    with subprocess.Popen(words, **how) as process:
        try:
            yield process
        finally:
            process.kill()


def said_until(process: subprocess.Popen[bytes], text: str, *, within_s: float = PATIENCE_S) -> str:
    """What it has written to its output from now on, once the text is among it; fails when it ends or is silent."""
    assert process.stdout is not None
    deadline = time.monotonic() + within_s
    seen = b""
    while text.encode() not in seen:
        assert select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0], seen
        part = os.read(process.stdout.fileno(), 65536)
        assert part, f"it ended after {seen!r}"
        seen += part
    return seen.decode()
