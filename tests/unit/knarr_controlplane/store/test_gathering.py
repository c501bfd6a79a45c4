"""The more is written, the longer batches are gathered for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_controlplane.store.gathering import FEW_PER_S, LEAST_S, MANY_PER_S, MEMORY_S, MOST_S, Rate, gather_s

RATES = st.floats(0, 1e6)


@given(RATES, RATES)
def test_more_writing_never_means_less_waiting_and_neither_bound_is_passed(one: float, other: float) -> None:
    less, more = sorted((one, other))
    assert LEAST_S <= gather_s(less) <= gather_s(more) <= MOST_S


def test_few_writes_wait_no_longer_than_they_must() -> None:
    assert gather_s(0) == gather_s(FEW_PER_S) == LEAST_S
    assert gather_s(MANY_PER_S) == MOST_S


@given(per_s=st.floats(50, 20_000), batch_s=st.floats(0.001, 0.02))
def test_what_is_written_steadily_is_measured(per_s: float, batch_s: float) -> None:
    rate, now_s = Rate(), 100.0
    for _ in range(int(6 * MEMORY_S / batch_s)):
        now_s += batch_s
        rate.note(per_s * batch_s, now_s)
    assert rate.per_s(now_s) == pytest.approx(per_s, rel=0.06)


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 10_000)), max_size=50))
def test_a_pause_is_forgotten_in_no_more_than_two_seconds(writes: list[tuple[float, int]]) -> None:
    rate, now_s = Rate(), 0.0
    for pause_s, count in writes:
        now_s += pause_s
        before = rate.per_s(now_s)
        rate.note(count, now_s)
        assert rate.per_s(now_s) > before >= 0
    assert rate.per_s(now_s + 2.0) < 0.0004 * rate.per_s(now_s) + 1e-9
