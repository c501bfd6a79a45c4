"""Permissions as ``--chmod`` takes them: octal, or symbolic as chmod(1). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from knarr_runtime.errors import Invalid

_OCTAL = re.compile(r"[0-7]{1,5}\Z")
_CLAUSE = re.compile(r"([ugoa]*)((?:[-+=][rwxXst]*)+)\Z")
_ACTION = re.compile(r"([-+=])([rwxXst]*)")
_SHIFT = {"u": 6, "g": 3, "o": 0}
_BITS = {"r": 4, "w": 2, "x": 1}


@dataclass(frozen=True, slots=True)
class Mode:
    """octal: what every file gets; None for ``clauses`` (who, operator, permissions), one after the other."""

    octal: int | None = None
    clauses: tuple[tuple[str, str, str], ...] = ()

    def of(self, mode: int, *, directory: bool) -> int:
        """The permissions of a file that has ``mode``."""
        if self.octal is not None:
            return self.octal
        for who, operator, permissions in self.clauses:
            mode = _applied(mode, who, operator, permissions, directory)
        return mode


def parse(text: str) -> Mode | None:
    """None for "". Raises Invalid."""
    if not text:
        return None
    if _OCTAL.match(text):
        if int(text, 8) <= 0o7777:
            return Mode(octal=int(text, 8))
        raise _invalid(text)
    clauses: list[tuple[str, str, str]] = []
    for part in text.split(","):
        match = _CLAUSE.match(part)
        if match is None:
            raise _invalid(text)
        who = "ugo" if not match[1] or "a" in match[1] else match[1]
        clauses += [(who, operator, permissions) for operator, permissions in _ACTION.findall(match[2])]
    return Mode(clauses=tuple(clauses))


def _invalid(text: str) -> Invalid:
    return Invalid(f"invalid chmod parameter: '{text}': it should be octal (0 to 07777) or symbolic (u=rwX,go=rX)")


def _applied(mode: int, who: str, operator: str, permissions: str, directory: bool) -> int:
    executable = directory or bool(mode & 0o111)
    bits = touched = 0
    for one in who:
        each = sum(_BITS.get(permission, 0) for permission in set(permissions))
        if "X" in permissions and executable:
            each |= 1
        bits |= each << _SHIFT[one]
        touched |= 7 << _SHIFT[one]
    special = {"u": 0o4000, "g": 0o2000}
    if "s" in permissions:
        bits |= sum(special.get(one, 0) for one in set(who))
    if "t" in permissions:
        bits |= 0o1000
    if operator == "+":
        return mode | bits
    if operator == "-":
        return mode & ~bits
    kept = sum(special.get(one, 0) for one in set(who)) if not directory else 0
    return (mode & ~(touched | kept)) | bits
