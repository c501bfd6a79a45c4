"""Events that a plan wants recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """About the object that the plan is for."""

    reason: str
    message: str
    warning: bool = False


class Recorder(Protocol):
    def normal(self, about: msgspec.Struct, reason: str, message: str) -> None: ...
    def warning(self, about: msgspec.Struct, reason: str, message: str) -> None: ...


def record(recorder: Recorder, about: msgspec.Struct, notes: Iterable[Note]) -> None:
    for note in notes:
        (recorder.warning if note.warning else recorder.normal)(about, note.reason, note.message)
