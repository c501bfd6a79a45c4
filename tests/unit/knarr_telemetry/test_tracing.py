"""Traces cost nothing while they are off, and what comes from outside is not believed."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knarr_telemetry import tracing

PROGRAMS = ("knarr_controlplane.main", "knarr_node_agent.main", "knarr_runtime.serving", "knarr_runtime.daemon")
VALID = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_off_is_not_loaded(program: str) -> None:
    code = f"import sys, {program}\nprint([name for name in sys.modules if name.startswith('opentelemetry')])"
    assert python(code).stdout == "[]\n"


def test_an_agent_without_metrics_does_not_load_what_measures() -> None:
    code = "import sys, knarr_node_agent.main\nprint({'prometheus_client', 'wsgiref'} & sys.modules.keys())"
    assert python(code).stdout == "set()\n"


def test_a_span_that_is_off_is_nothing() -> None:
    assert not tracing.is_on()
    with tracing.span("a", tracing.NEW, key="x"), tracing.step("b"):
        assert tracing.traceparent() == "" and tracing.options() == {}
    assert tracing.of_annotations({tracing.ANNOTATION: VALID}) is None


def test_who_wants_traces_without_their_packages_is_told_how_to_get_them() -> None:
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from knarr_runtime.serving import serve\n"
        "serve(['serve', '--tracing-endpoint', 'http://127.0.0.1:1'])"
    )
    done = python(code)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("knarr-runtime: traces need more packages: pip install 'knarr[tracing]'")


def test_contexts_are_taken_as_they_are_written() -> None:
    assert tracing.of_call((("user-agent", "x"), (tracing.HEADER, VALID))) == VALID
    assert tracing.of_call(None) is None
    for wrong in ("", VALID.upper(), VALID + "-x", VALID.replace("00-", "ff-"), f"00-{'0' * 32}-{'1' * 16}-01", b"x"):
        assert tracing.of_call(((tracing.HEADER, wrong),)) is None


@given(st.text(max_size=80))
def test_no_text_breaks_a_call(text: str) -> None:
    found = tracing.of_call(((tracing.HEADER, text),))
    assert found is None or found == text


def test_spans_go_on_with_what_came_and_end_with_it() -> None:
    """In a process of its own: OpenTelemetry stays loaded."""
    code = f"""
import asyncio, io, json, structlog
from knarr_telemetry import logs, tracing
said = io.StringIO()
logs.configure("info", "json", file=said)
tracing.start("test", "http://127.0.0.1:1")

async def main():
    with tracing.span("call", {VALID!r}):
        inside = tracing.traceparent()
        assert inside.split("-")[1] == {VALID!r}.split("-")[1] and inside != {VALID!r}
        assert tracing.options() == {{"metadata": (("traceparent", inside),)}}
        with tracing.step("step"):
            structlog.get_logger("knarr.x").info("inside")
            assert json.loads(said.getvalue())["trace_id"] == inside.split("-")[1]
            assert tracing.traceparent() not in ("", inside)
        go = asyncio.Event()

        async def left_running():
            await go.wait()
            with tracing.step("late"):
                return tracing.traceparent()

        task = asyncio.create_task(left_running())
        await asyncio.sleep(0)
    go.set()
    assert await task == "", "what outlives a span is no part of it"
    with tracing.span("none", None):
        assert tracing.traceparent() == ""

asyncio.run(main())
tracing.stop()
assert not tracing.is_on()
print("done")
"""
    done = python(code)
    assert done.stdout == "done\n", done.stderr
