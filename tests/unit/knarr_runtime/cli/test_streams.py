"""What the end of a session says, and the keys that detach."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.cli.streams import Keys, Result, result_of

DETACH = b"\x10\x11"


def test_keys_that_detach_are_not_sent() -> None:
    keys = Keys(DETACH)
    assert keys.take(b"abc") == (b"abc", False)
    assert keys.take(b"x\x10") == (b"x", False)
    assert keys.take(b"\x11rest") == (b"", True)


def test_a_beginning_that_goes_on_otherwise_is_sent() -> None:
    keys = Keys(DETACH)
    assert keys.take(b"\x10") == (b"", False)
    assert keys.take(b"y") == (b"\x10y", False)
    assert keys.take(b"\x10\x10\x11") == (b"\x10", True)


@given(st.binary(max_size=40).filter(lambda data: DETACH not in data), st.integers(1, 5))
def test_nothing_typed_is_lost(data: bytes, step: int) -> None:
    keys = Keys(DETACH)
    sent = b""
    for start in range(0, len(data), step):
        part, detached = keys.take(data[start : start + step])
        assert not detached
        sent += part
    assert sent in (data, data[:-1])


def test_results_are_read() -> None:
    assert result_of(b'{"status": "Success"}') == Result(0)
    failed = {"status": "Failure", "message": "m", "details": {"causes": [{"reason": "ExitCode", "message": "7"}]}}
    assert result_of(json.dumps(failed).encode()) == Result(7, "m")
    assert result_of(b"nonsense") == Result(None, "nonsense")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_result(data: bytes) -> None:
    assert isinstance(result_of(data), Result)
