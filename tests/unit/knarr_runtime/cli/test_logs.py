"""Log files in CRI's format."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from knarr_runtime.cli import logs

STAMP = "2026-01-02T03:04:05.678901234Z"


def test_parts_of_a_line_become_one_line() -> None:
    raw = [f"{STAMP} stdout P one \n", f"{STAMP} stderr F other\n", f"{STAMP} stdout F two\n"]
    found = list(logs.joined(line.encode() for line in raw))
    assert [(line.stream, line.text) for line in found] == [("stderr", b"other\n"), ("stdout", b"one two\n")]


def test_what_is_no_line_of_a_log_is_left_out() -> None:
    assert list(logs.joined([b"", b"\n", b"x y z\n", b"2026 stdlog F text\n"])) == []


@given(st.lists(st.binary(max_size=50)))
def test_any_bytes_are_read(lines: list[bytes]) -> None:
    for line in logs.joined(lines):
        assert line.stream in ("stdout", "stderr")


def test_a_log_is_followed_across_its_rotation(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(f"{STAMP} stdout F first\n")
    steps = iter(
        [
            lambda: path.rename(tmp_path / "a.log.20260102-030405"),
            lambda: path.write_text(f"{STAMP} stdout F second\n"),
        ]
    )
    left = [2]

    def wait(_: float) -> None:
        left[0] -= 1
        next(steps)()

    found = [line.text for line in logs.joined(logs.follow(path, lambda: left[0] > 0, wait))]
    assert found == [b"first\n", b"second\n"]
