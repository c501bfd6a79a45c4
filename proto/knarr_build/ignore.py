"""Patterns of ``.dockerignore`` and ``--exclude``. Pure.

One pattern a line, ``#`` comments, ``!`` for exceptions, the last one that matches decides; ``*`` and ``?`` stay in one
path component, ``**`` does not; what matches a directory matches all that is in it.
Source: Docker documentation, "Build context", ".dockerignore files".
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_PATTERNS = 10_000


@dataclass(frozen=True, slots=True)
class _Pattern:
    expression: re.Pattern[str]
    exception: bool


class Patterns:
    """``excluded`` says whether a path relative to the root, with ``/`` between its parts, is left out."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._patterns = tuple(_compile(pattern) for pattern in _clean(patterns))
        self.has_exceptions = any(pattern.exception for pattern in self._patterns)

    def __bool__(self) -> bool:
        return bool(self._patterns)

    def excluded(self, path: str) -> bool:
        found = False
        for pattern in self._patterns:
            if pattern.exception == found and any(pattern.expression.match(one) for one in _with_parents(path)):
                found = not pattern.exception
        return found


def read(text: str) -> Patterns:
    """Of the text of a ``.dockerignore``. Raises ValueError for a malformed pattern."""
    return Patterns(line for line in text.removeprefix("\ufeff").splitlines() if not line.startswith("#"))


def _clean(patterns: Iterable[str]) -> Iterator[str]:
    for count, line in enumerate(patterns):
        if count >= MAX_PATTERNS:
            raise ValueError(f"more than {MAX_PATTERNS} patterns")
        pattern = line.strip()
        if not pattern:
            continue
        mark = "!" if pattern.startswith("!") else ""
        pattern = pattern[len(mark) :].strip()
        if mark and not pattern:
            raise ValueError('illegal exclusion pattern: "!"')
        pattern = posixpath.normpath(pattern).lstrip("/") if pattern else ""
        if pattern and pattern != ".":
            yield mark + pattern


def _with_parents(path: str) -> Iterator[str]:
    parts = path.split("/")
    for end in range(1, len(parts) + 1):
        yield "/".join(parts[:end])


def _compile(pattern: str) -> _Pattern:
    exception = pattern.startswith("!")
    bare = pattern.removeprefix("!")
    try:
        return _Pattern(re.compile(translate(bare, deep=True) + r"\Z", re.DOTALL), exception)
    except re.error:
        raise ValueError(f'malformed pattern "{pattern}"') from None


def translate(pattern: str, *, deep: bool = False) -> str:
    """A regular expression for a path pattern; ``deep``: ``**`` is any number of directories."""
    parts: list[str] = []
    position = 0
    while position < len(pattern):
        character = pattern[position]
        position += 1
        if character == "*":
            if deep and pattern.startswith("*", position):
                position += 1
                if pattern.startswith("/", position):
                    position += 1
                parts.append(".*" if position == len(pattern) else "(?:.*/)?")
            else:
                parts.append("[^/]*")
        elif character == "?":
            parts.append("[^/]")
        elif character == "[":
            end = _class_end(pattern, position)
            body = pattern[position:end]
            negated = body.startswith("^")
            inner = re.sub(r"([\[&~|])", r"\\\1", body.removeprefix("^"))
            parts.append(f"(?!/)[{'^' if negated else ''}{inner}]")
            position = end + 1
        elif character == "\\" and position < len(pattern):
            parts.append(re.escape(pattern[position]))
            position += 1
        else:
            parts.append(re.escape(character))
    return "".join(parts)


def _class_end(pattern: str, position: int) -> int:
    start = position
    while position < len(pattern):
        if pattern[position] == "\\":
            position += 1
        elif pattern[position] == "]" and position > start:
            return position
        position += 1
    raise ValueError(f'malformed pattern "{pattern}"')
