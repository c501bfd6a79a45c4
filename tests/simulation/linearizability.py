"""Whether a history of concurrent calls on one register could have happened one after the other.

Each call takes effect at one moment between its begin and its end, or the history is not linearizable. A call without
an answer may take effect at any time after its begin, or never. The search is that of Wing and Gong, with the states
it has been in remembered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum


class Verb(Enum):
    READ = "read"
    WRITE = "write"
    SWAP = "swap"
    """Writes where ``expected`` is what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """value: read or written; None: nothing is there. done: of a swap, whether it wrote. end: infinite without an
    answer."""

    verb: Verb
    value: str | None
    begin: float
    end: float = math.inf
    expected: str | None = None
    done: bool = True

    def after(self, state: str | None) -> tuple[bool, str | None]:
        """Whether it can have happened in a state, and the state then."""
        match self.verb:
            case Verb.READ:
                return self.value == state, state
            case Verb.WRITE:
                return True, self.value
            case Verb.SWAP if math.isinf(self.end):
                return True, self.value if state == self.expected else state
            case Verb.SWAP:
                return (state == self.expected) == self.done, self.value if self.done else state


def is_linearizable(history: list[Call], *, first: str | None = None) -> bool:
    """first: what was there before. Reads without an answer say nothing and may be left out."""
    calls = sorted(history, key=lambda call: call.begin)
    answered = sum(1 << place for place, call in enumerate(calls) if not math.isinf(call.end))
    seen: set[tuple[int, str | None]] = set()
    todo: list[tuple[int, str | None]] = [(0, first)]
    while todo:
        taken, state = todo.pop()
        if taken & answered == answered:
            return True
        if (taken, state) in seen:
            continue
        seen.add((taken, state))
        soonest = min(call.end for place, call in enumerate(calls) if not taken >> place & 1)
        for place, call in enumerate(calls):
            if call.begin > soonest:
                break
            if not taken >> place & 1:
                possible, new = call.after(state)
                if possible:
                    todo.append((taken | 1 << place, new))
    return False
