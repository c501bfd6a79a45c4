"""How a transfer tells where it stands."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, str, int, int], None]
"""(digest of the part or "" for the whole, status, bytes so far, bytes in all or 0), from any thread."""


def silent(identifier: str, status: str, current: int, total: int) -> None:
    """For those who do not look."""
