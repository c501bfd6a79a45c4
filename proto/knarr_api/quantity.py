"""Amounts of resources: ``500m``, ``1.5Gi``, ``2e3``.

Exact decimal arithmetic, canonical text as Kubernetes writes it: no fraction digits, the largest suffix that leaves a
whole number, precision finer than 10⁻⁹ rounded up. Source: Kubernetes API reference, "Quantity".
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from knarr_api.errors import Invalid

PATTERN = re.compile(r"([+-]?)(\d{1,64}\.\d{0,64}|\d{1,64}|\.\d{1,64})((?:[KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d{1,3})?")
BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
NANO = Fraction(1, 10**9)
MAX_LENGTH = 64
MAX_EXPONENT = 40


class Quantity:
    """Immutable. Equal when the amounts are, whatever the writing. Raises Invalid for text that is none."""

    __slots__ = ("_amount", "_text")

    _amount: Fraction
    _text: str

    def __init__(self, value: str | int | float | Quantity) -> None:
        if isinstance(value, Quantity):
            amount, text = value._amount, value._text
        else:
            amount, text = _parse(value if isinstance(value, str) else _number_text(value))
        object.__setattr__(self, "_amount", amount)
        object.__setattr__(self, "_text", text)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("quantities don't change")

    @property
    def amount(self) -> Fraction:
        """The exact amount."""
        return self._amount

    def milli(self) -> int:
        """In thousandths, rounded up."""
        return -int(-self._amount * 1000 // 1)

    def value(self) -> int:
        """In whole units, rounded up."""
        return -int(-self._amount // 1)

    def __str__(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return f'Quantity("{self._text}")'

    def __eq__(self, other: object) -> bool:
        return self._amount == other._amount if isinstance(other, Quantity) else NotImplemented

    def __lt__(self, other: Quantity) -> bool:
        return self._amount < other._amount

    def __le__(self, other: Quantity) -> bool:
        return self._amount <= other._amount

    def __hash__(self) -> int:
        return hash(self._amount)

    def __add__(self, other: Quantity) -> Quantity:
        return _of(self._amount + other._amount, _is_binary(self._text))

    def __sub__(self, other: Quantity) -> Quantity:
        return _of(self._amount - other._amount, _is_binary(self._text))

    def __bool__(self) -> bool:
        return self._amount != 0


def _of(amount: Fraction, binary: bool) -> Quantity:
    return Quantity(_canonical(amount, "Ki" if binary else ""))


def _is_binary(text: str) -> bool:
    return text.endswith("i")


def _number_text(value: int | float) -> str:
    if isinstance(value, bool):
        raise Invalid(f"quantity {str(value).lower()}: must be a string or a number")
    return str(value) if isinstance(value, int) else repr(value)


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Fraction, str]:
    match = PATTERN.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise Invalid(
            f'quantity "{text[:MAX_LENGTH]}": must be a number with an optional suffix, like 500m, 2, 1.5Gi or 1e3 '
            "(quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$')"
        )
    sign, digits, suffix = match[1], match[2], match[3] or ""
    amount = Fraction(f"0{digits}" if digits.startswith(".") else digits.rstrip("."))
    if suffix in BINARY:
        amount *= BINARY[suffix]
    elif suffix in DECIMAL:
        amount *= Fraction(10) ** DECIMAL[suffix]
    else:
        exponent = int(suffix[1:])
        if abs(exponent) > MAX_EXPONENT:
            raise Invalid(f'quantity "{text}": the exponent must be between -{MAX_EXPONENT} and {MAX_EXPONENT}')
        amount *= Fraction(10) ** exponent
    if amount % NANO:
        amount = (amount // NANO + 1) * NANO
    if sign == "-":
        amount = -amount
    return amount, _canonical(amount, suffix)


def _canonical(amount: Fraction, suffix: str) -> str:
    if suffix in BINARY and amount.denominator == 1 and (abs(amount) >= 1024 or not amount):
        return _binary(int(amount))
    if not amount:
        return "0"
    exponent = 18
    while amount % (Fraction(10) ** exponent):
        exponent -= 3
    whole = int(amount / Fraction(10) ** exponent)
    if suffix[:1] in ("e", "E") and suffix not in DECIMAL and suffix not in BINARY:
        return f"{whole}e{exponent}" if exponent else str(whole)
    return f"{whole}{next(name for name, power in DECIMAL.items() if power == exponent)}"


def _binary(amount: int) -> str:
    if not amount:
        return "0"
    for name, factor in reversed(BINARY.items()):
        if amount % factor == 0:
            return f"{amount // factor}{name}"
    return str(amount)
