"""What a program prints, and what it must not be able to do with it."""

from __future__ import annotations

from typing import Any


def test_every_line_in_order(daemon: Any) -> None:
    built = daemon.build(
        "FROM base\nRUN i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done\n", no_cache=True
    )
    found = [line for line in built.lines if line.startswith("line ")]
    assert found == [f"line {number}" for number in range(20000)]


def test_long_lines_binary_output_and_a_missing_end(daemon: Any) -> None:
    built = daemon.build(
        "FROM base\nRUN head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'bin\\377\\n'; printf 'no end'\n",
        no_cache=True,
    )
    assert "x" * 40000 in built.lines
    assert "bin\ufffd" in built.lines
    assert "no end" in built.lines


def test_the_last_output_of_a_program_that_fails_comes_before_the_error(daemon: Any) -> None:
    lines: list[str] = []
    daemon.fails_with(lambda answer: lines.append(answer.line), "FROM base\nRUN echo last words >&2; exit 1\n")
    assert lines[-1] == "last words"


def test_steps_are_counted(daemon: Any) -> None:
    seen: list[tuple[int, int]] = []
    daemon.build_with(
        lambda answer: seen.append((answer.step, answer.steps)), "FROM base\nENV A=1\nRUN true\n", no_cache=True
    )
    assert {step for step, _ in seen} == {1, 2, 3}
    assert {steps for _, steps in seen} == {3}
