"""How long a test waits before it gives up: as long as this machine is slow, by ``KNARR_TEST_SLOWNESS`` (1)."""

from __future__ import annotations

import os

SLOWNESS = float(os.environ.get("KNARR_TEST_SLOWNESS", "1"))


def patient(seconds: float) -> float:
    """The deadline for something that takes a moment on a usual machine; not for delays a test is about."""
    return seconds * SLOWNESS
