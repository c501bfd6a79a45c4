"""That the simulation can fail: some of the mistakes of ``planted`` are found within a dozen seeds."""

from __future__ import annotations

import pytest

from tests.simulation.planted import MISTAKES, ROOT, hunt

FOUND_BY = {
    "a server-side apply takes what others own": "owners of fields",
    "tolerationSeconds are not waited for": "tolerations",
}
SEEDS = 12


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FOUND_BY)
def test_a_planted_mistake_is_found(name: str) -> None:
    (mistake,) = (each for each in MISTAKES if each.name == name)
    _, by = hunt(mistake, SEEDS)
    assert by == FOUND_BY[name]


def test_every_mistake_has_its_place() -> None:
    lost = [mistake.name for mistake in MISTAKES if mistake.old not in (ROOT / mistake.file).read_text()]
    assert not lost, f"the code has changed: {lost} can't be planted any more"
