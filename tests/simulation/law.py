"""One area of what must hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Law:
    """Told of every write. objects: all, by key, as they are stored; of: those of one type. fail: called with a broken
    promise's name."""

    def __init__(
        self, objects: dict[str, Any], of: Callable[[type[Any]], list[Any]], fail: Callable[[str, str], None]
    ) -> None:
        self._objects = objects
        self._of = of
        self._fail = fail

    def written(self, at_s: float, old: Any, new: Any, *, leading: bool) -> None:
        """One change; it is already part of ``objects``. leading: by who does the leader's work."""
        raise NotImplementedError
