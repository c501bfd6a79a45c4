"""Revisions as clients see them (``resourceVersion``): one integer for a store revision and a place in it.

A batch of writes shares one store revision; within it every write has a position from 1 to 254, in the order in which
watches deliver them. Packed: ``store_revision << 8 | position``. Position 255 stands for the whole revision (a list
is "everything up to here"), 0 for an entry whose position its store did not keep: a watch from there delivers the
revision's other events again rather than missing one.
"""

from __future__ import annotations

from dataclasses import dataclass

POSITION_BITS = 8
WHOLE = (1 << POSITION_BITS) - 1


def pack(store_revision: int, position: int = WHOLE) -> int:
    return store_revision << POSITION_BITS | position


def store_revision(packed: int) -> int:
    return packed >> POSITION_BITS


def position(packed: int) -> int:
    return packed & WHOLE


def same_write(one: int, other: int) -> bool:
    """Whether two packed revisions of one key name the same write: a batch holds a key once."""
    return one >> POSITION_BITS == other >> POSITION_BITS


@dataclass(frozen=True, slots=True)
class Numbering:
    """Between the numbers of a store that can't choose them and those that clients see, which are ``base`` higher.

    A restored store has a base: see :mod:`knarr_controlplane.store.restoring`.
    """

    base: int = 0

    def pack(self, number: int, position: int = WHOLE) -> int:
        return pack(number + self.base, position)

    def number(self, packed: int) -> int:
        """The store's own; 0 stays 0, and what was handed out before the restore is negative."""
        return (store_revision(packed) - self.base or -1) if packed else 0
