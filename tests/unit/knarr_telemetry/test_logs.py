"""One shape for every line, and nothing secret in any."""

from __future__ import annotations

import ast
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from knarr_telemetry import logs

ROOT = Path(__file__).resolve().parents[3]
PROGRAMS = ("proto", "node_agent", "controlplane/knarr_controlplane", "runtime")
LEVELS = {"debug", "info", "warning", "error", "exception"}
TOKEN = "kn1.ab12cd." + "s3cr3ts3cr3t" + "." + "0f" * 32
NOT_FIELDS = {"why", "pod", "key", "obj", "err", "data", *logs.SECRET_FIELDS}
KEY = "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49\n-----END PRIVATE KEY-----\n"


@pytest.fixture
def lines() -> Iterator[Any]:
    """What was logged since, as JSON."""
    before = (logging.root.handlers[:], logging.root.level)
    file = io.StringIO()
    logs.configure("debug", "json", file=file)
    yield lambda: [json.loads(line) for line in file.getvalue().splitlines()]
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = before[0], before[1]


def test_a_line_says_what_about_what_and_who(lines: Any) -> None:
    structlog.get_logger("knarr.pods").bind(object="Pod/default/web").warning("failed", error="no", duration_s=0.5)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "component": "pods",
        "event": "failed",
        "object": "Pod/default/web",
        "error": "no",
        "duration_s": 0.5,
    }


def test_what_libraries_log_has_the_same_shape(lines: Any) -> None:
    logging.getLogger("grpc").warning("the %s is gone", "server")
    try:
        raise ValueError("bad")
    except ValueError:
        logging.getLogger("asyncio").exception("in a task")
    logging.getLogger("asyncio").info("chatter")
    first, second = lines()
    assert (first["component"], first["event"]) == ("grpc", "the server is gone")
    assert "ValueError: bad" in second["exception"]


def test_a_line_of_the_console_begins_with_what_matters(capsys: Any) -> None:
    before = (logging.root.handlers[:], logging.root.level)
    file = io.StringIO()
    logs.configure("info", "console", file=file)
    structlog.get_logger("knarr.x").info("made", other=1, node="n1", object="Pod/a/b")
    structlog.get_logger("knarr.x").debug("not said")
    structlog.reset_defaults()
    logging.root.handlers[:], logging.root.level = before[0], before[1]
    assert file.getvalue().partition(" ")[2] == "level=info component=x event=made object=Pod/a/b node=n1 other=1\n"


@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from([TOKEN, KEY]))
def test_no_token_and_no_key_gets_into_a_line(before: str, after: str, secret: str) -> None:
    shown = logs.without_secrets(None, "info", {"event": before + secret + after, "why": ValueError(secret)})
    assert "s3cr3t" not in str(shown) and "MIGHAgEA" not in str(shown)
    assert logs.without_secrets(None, "info", {"password": "x", "n": 1}) == {"password": logs.REDACTED, "n": 1}


def test_what_is_said_does_not_change_and_objects_are_named_alike() -> None:
    """Every call of a logger in the programs: a fixed event; objects under ``object``, reasons under ``error``."""
    wrong = []
    for program in PROGRAMS:
        for path in (ROOT / program).rglob("*.py"):
            if "_pb2" in path.name:
                continue
            for call in ast.walk(ast.parse(path.read_text())):
                if _is_log(call):
                    wrong += [f"{path.relative_to(ROOT)}:{call.lineno}: {what}" for what in _mistakes(call)]
    assert not wrong, "\n".join(wrong)


def _is_log(node: ast.AST) -> Any:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr not in LEVELS:
        return False
    owner = ast.unparse(node.func.value)
    return owner in ("log", "_log", "self._log") or owner.startswith(("structlog.get_logger(", "_log("))


def _mistakes(call: ast.Call) -> Iterator[str]:
    if len(call.args) != 1 or not isinstance(call.args[0], ast.Constant):
        yield "the event is not one fixed text"
    for name in {keyword.arg for keyword in call.keywords} & NOT_FIELDS:
        yield f'field "{name}": name an object as object="Kind/namespace/name", a failure as error'
