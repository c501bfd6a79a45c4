"""However many take a fraction, they do not crowd."""

from __future__ import annotations

import itertools

import pytest

from knarr_controlplane.spreading import fractions


@pytest.mark.parametrize("count", [10, 100, 5000])
def test_each_tenth_gets_its_share(count: int) -> None:
    taken = list(itertools.islice(fractions(), count))
    assert all(0 <= each < 1 for each in taken)
    shares = [sum(tenth <= 10 * each < tenth + 1 for each in taken) for tenth in range(10)]
    assert max(shares) - min(shares) <= 2 + count // 100


def test_every_run_takes_the_same() -> None:
    assert list(itertools.islice(fractions(), 20)) == list(itertools.islice(fractions(), 20))
