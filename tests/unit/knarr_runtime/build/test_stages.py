"""Which stages are built, from what."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from knarr_runtime.build import dockerfile, stages
from knarr_runtime.errors import Invalid


def plan(text: str, target: str = "", args: Mapping[str, str] | None = None) -> stages.Plan:
    return stages.plan(dockerfile.parse(text.encode()), target=target, platform="linux/amd64", args=args or {})


def test_only_needed_stages() -> None:
    text = "FROM a AS one\nFROM a AS two\nFROM one\nCOPY --from=0 x y\nFROM b\nRUN --mount=from=two,target=/x true\n"
    assert plan(text).needed == (1, 3)
    assert plan(text, "2").needed == (0, 2)
    assert plan(text, "ONE").needed == (0,)


def test_arguments_before_from() -> None:
    text = "ARG A=busybox\nARG B=${A}:1\nFROM $B\n"
    assert plan(text).bases[0].image == "busybox:1"
    assert plan(text, args={"A": "alpine"}).bases[0].image == "alpine:1"
    assert plan("FROM --platform=$BUILDPLATFORM x\n").bases[0].platform == "linux/amd64"


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        ("FROM $X\n", "", r"Dockerfile:1: base name \(\$X\) should not be blank"),
        ("FROM a AS one\n", "two", 'target stage "two" could not be found; there are one'),
        ("FROM a AS one\nCOPY --from=one x y\n", "", 'Dockerfile:2: stage "one" comes later or is this one'),
        ("FROM a\nCOPY --from=0 x y\n", "", "invalid stage index 0"),
    ],
)
def test_errors(text: str, target: str, message: str) -> None:
    with pytest.raises(Invalid, match=message):
        plan(text, target)


def test_a_name_that_is_no_stage_is_an_image() -> None:
    parsed = dockerfile.parse(b"FROM a\nCOPY --from=nginx:1 x y\n")
    assert stages.stage_named(parsed, "nginx:1", 0) is None
