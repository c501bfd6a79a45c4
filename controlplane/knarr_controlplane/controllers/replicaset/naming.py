"""Names of a ReplicaSet's pods: ``<replicaset>-<five characters>``, made of nothing but uid and a slot number.

The suffix is the slot sent through a permutation of all 27^5 suffixes that depends on the ReplicaSet's uid, so
- different slots never share a name, the same slot always has the same: a repeated create is refused, not doubled;
- the slot can be read back from the name: the highest slot in use is known from the pods alone, nothing is stored;
- names look random, as users expect.

Slots count up, so a name is not used again soon after its pod is gone.
"""

from __future__ import annotations

import functools
import hashlib

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
"""Without vowels and look-alikes: no words, no mistakes."""
LENGTH = 5
SLOTS: int = len(ALPHABET) ** LENGTH
PREFIX_MAX = 63 - LENGTH
"""A pod's name is its host name: at most 63 characters."""
_FACTOR = 8_765_431
_INVERSE: int = pow(_FACTOR, -1, SLOTS)


def pod_name(replicaset: str, uid: str, slot: int) -> str:
    """The name of the pod in a slot, counted from 0."""
    return _prefix(replicaset) + _text((slot * _FACTOR + _offset(uid)) % SLOTS)


def slot_of(name: str, replicaset: str, uid: str) -> int | None:
    """The slot of a pod's name; None for a name that was not made here."""
    prefix = _prefix(replicaset)
    suffix = name.removeprefix(prefix)
    if not name.startswith(prefix) or len(suffix) != LENGTH:
        return None
    number = 0
    for character in suffix:
        digit = ALPHABET.find(character)
        if digit < 0:
            return None
        number = number * len(ALPHABET) + digit
    slot: int = (number - _offset(uid)) * _INVERSE % SLOTS
    return slot


def _prefix(replicaset: str) -> str:
    return f"{replicaset}-"[:PREFIX_MAX]


@functools.lru_cache(maxsize=1024)
def _offset(uid: str) -> int:
    return int.from_bytes(hashlib.sha256(uid.encode()).digest()[:8], "big") % SLOTS


def _text(number: int) -> str:
    characters = []
    for _ in range(LENGTH):
        number, digit = divmod(number, len(ALPHABET))
        characters.append(ALPHABET[digit])
    return "".join(reversed(characters))
