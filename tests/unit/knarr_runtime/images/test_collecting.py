"""What goes when the disk fills up, and what never does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.images.collecting import Disk, Thresholds, decide
from knarr_runtime.images.store import Image, ImageConfig

NOW = 10_000.0


def image(number: int, size: int, age_s: float) -> Image:
    return Image(
        id=f"sha256:{number}", names=(), layers=(), size_bytes=size, config=ImageConfig(), imported_at_s=NOW - age_s
    )


images = st.lists(st.tuples(st.integers(0, 50), st.floats(0, 1000)), max_size=12).map(
    lambda found: [image(number, size, age) for number, (size, age) in enumerate(found)]
)


@given(images, st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.sets(st.integers(0, 11)))
def test_only_what_may_goes_and_no_more_than_needed(
    found: list[Image], used: int, one: int, other: int, numbers: set[int]
) -> None:
    thresholds = Thresholds(low_percent=min(one, other), high_percent=max(one, other))
    in_use = {f"sha256:{number}" for number in numbers}
    gone = decide(found, in_use, Disk(total=100, used=used), thresholds, NOW)
    if used < thresholds.high_percent or thresholds.high_percent == 100:
        assert gone == ()
    for each in gone:
        assert each.id not in in_use and NOW - each.imported_at_s >= thresholds.min_age_s
    assert used - sum(each.size_bytes for each in gone[:-1]) > thresholds.low_percent or not gone
    stays = [each for each in found if each not in gone and each.id not in in_use]
    old_enough = [each for each in stays if NOW - each.imported_at_s >= thresholds.min_age_s]
    if gone and old_enough:
        assert used - sum(each.size_bytes for each in gone) <= thresholds.low_percent
        assert max(each.imported_at_s for each in gone) <= min(each.imported_at_s for each in old_enough)


def test_the_oldest_goes_first_until_there_is_room() -> None:
    found = [image(1, 10, 500), image(2, 10, 900), image(3, 10, 700), image(4, 10, 10)]
    gone = decide(found, (), Disk(total=100, used=90), Thresholds(), NOW)
    assert [each.id for each in gone] == ["sha256:2"]
