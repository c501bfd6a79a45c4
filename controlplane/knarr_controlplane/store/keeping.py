"""What somebody promises who keeps a key written in one's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Keeping:
    """value: makes what to write next. is_own: whether a value is one of those, if an answer was lost.

    every_s: between writes. within_s: what one may take. stays_s: for so long it is ours from before a write is sent.
    """

    key: str
    value: Callable[[], bytes]
    is_own: Callable[[bytes], bool]
    every_s: float
    within_s: float
    stays_s: float


@dataclass(frozen=True, slots=True)
class Kept:
    """revision: packed, of the last write. until_s: until when it is ours, monotonic. lost: why it is not any more."""

    revision: int
    until_s: float
    lost: str = ""


class Keeper(Protocol):
    """Writes a key again and again, for as long as it is as it was written last. For one key at a time."""

    def start(self, keeping: Keeping, revision: int, until_s: float) -> None:
        """revision: packed, that the key has now. until_s: until when it is ours, monotonic."""
        ...

    def look(self) -> Kept:
        """How it is. To be called every now and then, or it ends."""
        ...

    def stop(self) -> Kept:
        """Blocks until what is under way is through."""
        ...
