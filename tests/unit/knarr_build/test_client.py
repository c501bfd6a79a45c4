"""Words of the command line, and output that may come from anybody's program."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from knarr_build import client
from knarr_build.context import ContextError
from knarr_proto.runtime.v1 import images_pb2


def test_build_arguments_come_from_the_environment_when_they_have_no_value() -> None:
    assert client.build_args(("A=1", "B", "C=", "D"), {"B": "2"}) == {"A": "1", "B": "2", "C": ""}


def test_secrets(tmp_path: Path) -> None:
    (tmp_path / "s").write_bytes(b"\x00secret")
    given = (f"id=a,src={tmp_path}/s", "id=b,env=TOKEN")
    assert client.secrets(given, {"TOKEN": "t"}) == {"a": b"\x00secret", "b": b"t"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: client.build_args(("=x",), {}), "must be NAME or NAME=VALUE"),
        (lambda: client.pairs(("=x",), "--label"), '--label "=x": must be NAME=VALUE'),
        (lambda: client.secrets(("src=/x",), {}), "must be id=NAME,src=FILE"),
        (lambda: client.secrets(("id=x",), {}), "must be id=NAME,src=FILE"),
        (lambda: client.secrets(("id=x,src=/nowhere/x",), {}), "No such file"),
        (lambda: client.secrets(("id=x,env=NONE",), {}), "there is no variable NONE"),
    ],
)
def test_what_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ContextError, match=message):
        call()


def shown(*messages: Any, live: bool = False, quiet: bool = False) -> str:
    out = io.StringIO()
    display = client.Display(out, live=live, quiet=quiet)
    for message in messages:
        display(message)
    return out.getvalue()


def test_control_sequences_of_programs_stay_out_but_colours_pass() -> None:
    text = "\x1b]0;title\x07\x1b[2J\x1b[31mred\x1b[0m\ttab\r\x08"
    assert shown(images_pb2.BuildResponse(line=text)) == "]0;title[2J\x1b[31mred\x1b[0m\ttab\n"


def test_empty_lines_are_lines_but_the_result_is_none() -> None:
    messages = (images_pb2.BuildResponse(line=""), images_pb2.BuildResponse(image_id="sha256:x"))
    assert shown(*messages) == "\n"
    assert shown(*messages, quiet=True) == ""


def test_transfers_share_one_line_on_a_terminal() -> None:
    def transfer(identifier: str, current: int) -> Any:
        progress = images_pb2.TransferProgress(
            id=identifier, status="Downloading", current_bytes=current, total_bytes=10**7
        )
        return images_pb2.BuildResponse(transfer=progress)

    text = shown(transfer("a", 10**6), transfer("b", 10**6), images_pb2.BuildResponse(line="next"), live=True)
    assert "Downloading  2.0 of 20.0 MB" in text and text.endswith("\r\x1b[Knext\n")
    assert shown(transfer("a", 1)) == ""
