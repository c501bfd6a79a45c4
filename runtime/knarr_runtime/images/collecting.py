"""Which images go when the disk fills up. Pure.

As the kubelet does it: above ``high_percent`` of the disk the oldest unused images go until ``low_percent`` would be
reached; what is younger than ``min_age_s`` stays, and what a container or a build uses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from knarr_runtime.errors import Invalid
from knarr_runtime.images.store import Image


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Percent of the disk in use; high_percent 100 turns it off."""

    high_percent: int = 85
    low_percent: int = 80
    min_age_s: float = 120.0
    every_s: float = 60.0

    def __post_init__(self) -> None:
        if not 0 <= self.low_percent <= self.high_percent <= 100:
            raise Invalid(f"image gc: {self.low_percent} and {self.high_percent} must be percents, the lower one first")


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Bytes."""

    total: int
    used: int

    @property
    def percent(self) -> float:
        return 100 * self.used / self.total if self.total else 0.0


def decide(
    images: Iterable[Image], in_use: Collection[str], disk: Disk, thresholds: Thresholds, now_s: float
) -> tuple[Image, ...]:
    """The images to remove, oldest first."""
    if thresholds.high_percent >= 100 or disk.percent < thresholds.high_percent:
        return ()
    to_free = disk.used - disk.total * thresholds.low_percent // 100
    chosen: list[Image] = []
    for image in sorted(images, key=lambda image: (image.imported_at_s, image.id)):
        if to_free <= 0:
            break
        if image.id not in in_use and now_s - image.imported_at_s >= thresholds.min_age_s:
            chosen.append(image)
            to_free -= image.size_bytes
    return tuple(chosen)
