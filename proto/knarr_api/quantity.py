"""Amounts of resources: ``500m``, ``1.5Gi``, ``2e3``.

An amount is a whole number of billionths, so arithmetic is exact and quick. The text is canonical as Kubernetes writes
it: no fraction digits, the largest suffix that leaves a whole number, binary suffixes only where nothing is lost.
Precision finer than 10⁻⁹ is rounded away from zero; amounts beyond 2⁶³-1 are cut to that.
Source: Kubernetes API reference, "Quantity".
"""

from __future__ import annotations

import re
from functools import lru_cache, total_ordering

from knarr_api.errors import Invalid

PATTERN = re.compile(r"([+-]?)([0-9]{0,64})(?:\.([0-9]{0,64}))?((?:[KMGTPE]i)|[numkMGTPE]|[eE][+-]?[0-9]{1,4})?")
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
SUFFIXES = {exponent: suffix for suffix, exponent in DECIMAL.items()}
NANOS = 10**9
MAX_NANOS = (2**63 - 1) * NANOS
MAX_LENGTH = 140


@total_ordering
class Quantity:
    """Immutable. Equal when the amounts are, whatever the writing. Raises Invalid for text that is none.

    A number counts as its decimal text: ``Quantity(0.1)`` is ``100m``.
    """

    __slots__ = ("_nanos", "_text")

    _nanos: int
    _text: str

    def __init__(self, value: str | int | float | Quantity) -> None:
        if isinstance(value, Quantity):
            nanos, text = value._nanos, value._text
        else:
            nanos, text = _parse(value if isinstance(value, str) else _number_text(value))
        object.__setattr__(self, "_nanos", nanos)
        object.__setattr__(self, "_text", text)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("quantities don't change")

    def nanos(self) -> int:
        """In billionths, exactly."""
        return self._nanos

    def milli(self) -> int:
        """In thousandths, rounded up."""
        return -(-self._nanos // 10**6)

    def value(self) -> int:
        """In whole units, rounded up."""
        return -(-self._nanos // NANOS)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f'Quantity("{self._text}")'

    def __eq__(self, other: object) -> bool:
        return self._nanos == other._nanos if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: Quantity) -> bool:
        return self._nanos < other._nanos

    def __hash__(self) -> int:
        return hash(self._nanos)

    def __bool__(self) -> bool:
        return self._nanos != 0

    def __add__(self, other: Quantity) -> Quantity:
        return _of(self._nanos + other._nanos, self._suffix or other._suffix)

    def __sub__(self, other: Quantity) -> Quantity:
        return _of(self._nanos - other._nanos, self._suffix or other._suffix)

    def __neg__(self) -> Quantity:
        return _of(-self._nanos, self._suffix)

    def __reduce__(self) -> tuple[type[Quantity], tuple[str]]:
        return (Quantity, (self._text,))

    @property
    def _suffix(self) -> str:
        """What decides how a sum is written: a binary suffix, an exponent, or nothing."""
        return "Ki" if self._text.endswith("i") else "e0" if "e" in self._text else ""


@lru_cache(maxsize=4096)
def of_text(text: str) -> Quantity:
    """As ``Quantity(text)``, but the same texts share one object: for decoding many."""
    return Quantity(text)


def _of(nanos: int, suffix: str) -> Quantity:
    made = Quantity.__new__(Quantity)
    nanos = max(-MAX_NANOS, min(nanos, MAX_NANOS))
    object.__setattr__(made, "_nanos", nanos)
    object.__setattr__(made, "_text", _canonical(nanos, suffix))
    return made


def _number_text(value: int | float) -> str:
    if isinstance(value, bool):
        raise Invalid(f"quantity {str(value).lower()}: must be a string or a number")
    try:
        return str(value)
    except ValueError as error:
        raise Invalid(f"quantity: a number of {value.bit_length()} bits is too long") from error  # type: ignore[union-attr]


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[int, str]:
    match = PATTERN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None or not (match[2] or match[3]):
        raise Invalid(
            f'quantity "{text[:64]}": must be a number with an optional suffix, like 500m, 2, 1.5Gi or 1e3 '
            "(quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$')"
        )
    sign, whole, fraction, suffix = match[1], match[2], match[3] or "", match[4] or ""
    factor, exponent = 1, 9 - len(fraction)
    if suffix in BINARY:
        factor = BINARY[suffix]
    elif suffix in DECIMAL:
        exponent += DECIMAL[suffix]
    else:
        exponent += max(-500, min(int(suffix[1:]), 500))
    amount = int(whole + fraction) * factor
    nanos = amount * 10**exponent if exponent >= 0 else -(-amount // 10**-exponent)
    nanos = min(nanos, MAX_NANOS)
    if sign == "-":
        nanos = -nanos
    return nanos, _canonical(nanos, suffix)


def _canonical(nanos: int, suffix: str) -> str:
    if not nanos:
        return "0"
    if suffix in BINARY and abs(nanos) >= 1024 * NANOS and nanos % NANOS == 0:
        return _binary(nanos // NANOS)
    exponent = -9
    while nanos % 1000 == 0 and exponent < 18:
        nanos //= 1000
        exponent += 3
    if suffix[:1] in ("e", "E") and suffix != "E" and suffix not in BINARY:
        return f"{nanos}e{exponent}" if exponent else str(nanos)
    return f"{nanos}{SUFFIXES[exponent]}"


def _binary(amount: int) -> str:
    for name, factor in reversed(BINARY.items()):
        if amount % factor == 0:
            return f"{amount // factor}{name}"
    return str(amount)
