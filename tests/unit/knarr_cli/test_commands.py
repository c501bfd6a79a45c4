"""What holds for every command: help with examples, quick to start, kubectl's ways with options."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import grpc.aio
import pytest
from click.testing import CliRunner

from knarr_api import errors
from knarr_cli.main import MODULES, SUMMARIES, cli
from knarr_cli.refusal import explain
from knarr_cli.session import seconds
from knarr_cli.verb import Verb


def commands(group: click.Group, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = [(path, command) for path, command in commands(cli, ()) if path[0] not in ("up", "down", "node")]


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(path) for path, _ in ALL])
def test_help_says_what_it_does_and_shows_examples(path: tuple[str, ...], command: click.Command) -> None:
    text = CliRunner().invoke(cli, [*path, "--help"]).output
    assert f"knarr {' '.join(path)}" in text.partition("Examples:")[2], text
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.help, f"{path}: {parameter.name} has no help"


def test_every_command_has_a_summary() -> None:
    assert {name for names in MODULES.values() for name in names} == set(SUMMARIES)


def test_help_imports_neither_grpc_nor_the_schema() -> None:
    program = (
        "import sys\nfrom knarr_cli.main import cli\n"
        "cli.main(['--help'], prog_name='knarr', standalone_mode=False)\n"
        "print([name for name in ('grpc', 'yaml', 'msgspec', 'asyncio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["--wait=false"], (False, False, "")),
        (["--wait=true", "--force=true"], (True, True, "")),
        (["--force=false"], (True, False, "")),
        (["--", "--wait=false"], (True, False, "--wait=false")),
    ],
)
def test_flags_take_true_and_false(words: list[str], seen: tuple[bool, bool, str]) -> None:
    found: list[tuple[bool, bool, str]] = []

    @click.command(cls=Verb)
    @click.argument("word", default="")
    @click.option("--wait/--no-wait", default=True)
    @click.option("--force", is_flag=True)
    def verb(word: str, wait: bool, force: bool) -> None:
        found.append((wait, force, word))

    assert CliRunner().invoke(verb, words, catch_exceptions=False).exit_code == 0
    assert found == [seen]


@pytest.mark.parametrize(
    ("words", "seen"),
    [
        (["-o=json"], ("json", False, ())),
        (["-o", "-o=x"], ("-o=x", False, ())),
        (["-l=app=web", "-A"], ("app=web", True, ())),
        (["-ojson"], ("json", False, ())),
        (["--", "-o=json"], ("", False, ("-o=json",))),
        (["-o="], ("=", False, ())),
    ],
)
def test_values_of_short_options(words: list[str], seen: tuple[str, bool, tuple[str, ...]]) -> None:
    found: list[tuple[str, bool, tuple[str, ...]]] = []

    @click.command(cls=Verb)
    @click.argument("rest", nargs=-1)
    @click.option("-o", "-l", "text", default="")
    @click.option("-A", "everywhere", is_flag=True)
    def verb(rest: tuple[str, ...], text: str, everywhere: bool) -> None:
        found.append((text, everywhere, rest))

    assert CliRunner().invoke(verb, words, catch_exceptions=False).exit_code == 0
    assert found == [seen]


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("10s", 10), ("1h30m", 5400), ("250ms", 0.25), ("0.5s", 0.5), ("1m1s", 61)]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "s", "1d", "-5s", "5 s", "1s1"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(errors.Invalid, match="must be like"):
        seconds(text)


def of_server(error: errors.KnarrError) -> errors.KnarrError:
    error.__cause__ = grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata())
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errors.Invalid("no"), "error: no"),
        (of_server(errors.NotFound('pods "x" not found')), 'Error from server (NotFound): pods "x" not found'),
        (of_server(errors.Unavailable("etcd is full")), "Error from server (ServiceUnavailable): etcd is full"),
        (
            of_server(errors.Unavailable("failed to connect to all addresses; last error: UNKNOWN: ipv4:1.2.3.4:5: x")),
            "Unable to connect to the server: 1.2.3.4:5: x\nIs the cluster running",
        ),
        (of_server(errors.Unavailable("failed to connect; Ssl handshake failed")), "of another cluster"),
        (of_server(errors.Unavailable("Socket closed")), "the connection to the server was lost"),
        (of_server(errors.DeadlineExceeded("late")), "--request-timeout"),
        (of_server(errors.Unimplemented("Method not found!")), "join port"),
    ],
)
def test_refusals_say_who_refused_and_what_to_do(error: errors.KnarrError, said: str) -> None:
    assert said in explain(error)


def test_a_revision_that_is_not_there_yet_is_not_waited_for_longer() -> None:
    late = of_server(errors.DeadlineExceeded("Too large resource version: 99, current: 3"))
    assert explain(late) == "Error from server (Timeout): Too large resource version: 99, current: 3"
