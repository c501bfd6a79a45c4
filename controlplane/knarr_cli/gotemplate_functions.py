"""What Go templates can call, and how their values are printed."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

NO_VALUE = "<no value>"


class _NoValue:
    """What a field that is not there has."""


ABSENT = _NoValue()


def true(value: Any) -> bool:
    return value is not ABSENT and bool(value)


def printed(value: Any) -> str:
    """As Go prints values: ``map[a:1 b:2]``, ``[a b]``."""
    if value is ABSENT or value is None:
        return NO_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{printed(inner)}' for key, inner in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(printed, value))}]"
    return str(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None or value is ABSENT:
            return ABSENT
        if isinstance(value, Mapping):
            value = value.get(key, ABSENT)
        elif not isinstance(key, int) or not 0 <= key < len(value):
            raise ValueError(f"index out of range: {key}")
        else:
            value = value[key]
    return value


def _formatted(form: str, *values: Any) -> str:
    """``%s %d %v %q %5s %%``."""
    rest = list(values)

    def one(match: re.Match[str]) -> str:
        if match["verb"] == "%":
            return "%"
        if not rest:
            return f"%!{match['verb']}(MISSING)"
        value = rest.pop(0)
        if match["verb"] == "q":
            text = json.dumps(printed(value), ensure_ascii=False)
        elif match["verb"] in "fd" and isinstance(value, int | float) and not isinstance(value, bool):
            text = f"{value:.{int(match['digits'] or 6)}f}" if match["verb"] == "f" else str(int(value))
        else:
            text = printed(value)
        width = int(match["width"] or 0)
        return text.ljust(-width) if width < 0 else text.rjust(width)

    return re.sub(r"%(?P<width>-?\d+)?(?:\.(?P<digits>\d+))?(?P<verb>[sdvqtf%])", one, form)


def _joined(*values: Any) -> str:
    """As Go's Print: a space between two values neither of which is a string."""
    text = ""
    for number, value in enumerate(values):
        if number and not isinstance(value, str) and not isinstance(values[number - 1], str):
            text += " "
        text += printed(value)
    return text


def _decoded(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode(errors="replace")
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _exists(value: Any, *keys: Any) -> bool:
    try:
        return _index(value, *keys) not in (ABSENT, None)
    except (TypeError, ValueError):
        return False


def _first(values: tuple[Any, ...], *, holding: bool) -> Any:
    return next((value for value in values if true(value) == holding), values[-1])


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "and": lambda *values: _first(values, holding=False),
    "or": lambda *values: _first(values, holding=True),
    "not": lambda value: not true(value),
    "eq": lambda one, *others: any(one == other for other in others),
    "ne": lambda one, other: one != other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "len": lambda value: len(value),
    "index": _index,
    "slice": lambda value, start=0, end=None: value[start:end],
    "print": _joined,
    "println": lambda *values: " ".join(map(printed, values)) + "\n",
    "printf": _formatted,
    "base64decode": _decoded,
    "exists": _exists,
}
