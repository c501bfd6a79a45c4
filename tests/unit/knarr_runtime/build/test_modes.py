"""What --chmod makes of permissions."""

from __future__ import annotations

import pytest

from knarr_runtime.build import modes
from knarr_runtime.errors import Invalid


@pytest.mark.parametrize(
    ("text", "before", "directory", "after"),
    [
        ("755", 0o600, False, 0o755),
        ("07777", 0o600, False, 0o7777),
        ("+x", 0o644, False, 0o755),
        ("a+x", 0o600, False, 0o711),
        ("u=rwX,go=rX", 0o600, False, 0o644),
        ("u=rwX,go=rX", 0o700, False, 0o755),
        ("u=rwX,go=rX", 0o600, True, 0o755),
        ("go-rwx", 0o777, False, 0o700),
        ("u+s,g+s,+t", 0o755, False, 0o7755),
        ("=r", 0o777, False, 0o444),
        ("u=", 0o755, False, 0o055),
        ("u+rw-x", 0o500, False, 0o600),
        ("u=rx", 0o4755, False, 0o555),
    ],
)
def test_modes(text: str, before: int, directory: bool, after: int) -> None:
    mode = modes.parse(text)
    assert mode is not None
    assert oct(mode.of(before, directory=directory)) == oct(after)


@pytest.mark.parametrize("text", ["9", "17777", "x+u", "u", "u+q", "u=rw,", "rwx"])
def test_what_is_no_mode(text: str) -> None:
    with pytest.raises(Invalid, match="invalid chmod parameter"):
        modes.parse(text)


def test_none() -> None:
    assert modes.parse("") is None
