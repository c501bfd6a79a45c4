"""Completion indexes: as sets of numbers, as text ("0-2,5"), and on pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from knarr_api.types.core_v1 import Pod

COMPLETION_INDEX = "batch.kubernetes.io/job-completion-index"
"""Label, and annotation, of a pod."""


def parse(text: str, completions: int) -> frozenset[int]:
    """The numbers below ``completions``; what is no number is left out."""
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        last = last or first
        if _is_number(first) and _is_number(last):
            found.update(range(int(first), min(int(last) + 1, completions)))
    return frozenset(found)


def show(numbers: Iterable[int]) -> str:
    """Runs of three and more, and pairs, as ``first-last`` and ``first,last``."""
    runs: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][1] == number - 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return ",".join(_run(first, last) for first, last in runs)


def of(pod: Pod) -> int | None:
    """The index of a pod; None where it has none."""
    text = pod.metadata.annotations.get(COMPLETION_INDEX) or pod.metadata.labels.get(COMPLETION_INDEX, "")
    return int(text) if _is_number(text) else None


def _run(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 12
