"""Verbs on what runs in containers: exec, attach, top."""

from __future__ import annotations

import os
import pwd
import sys
import time
from pathlib import Path

import click

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import parsing
from knarr_runtime.cli.inspecting import descriptions, information
from knarr_runtime.cli.names import RUNNING
from knarr_runtime.cli.output import table
from knarr_runtime.cli.session import QUICK_S, fail, failures, session, waiting
from knarr_runtime.cli.streams import Streams
from knarr_runtime.cli.verbs import verb


@verb(context_settings={"allow_interspersed_args": False}, short_help="Run a command in a container")
@click.argument("container", shell_complete=RUNNING)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("-i", "--interactive", is_flag=True, help="Keep standard input open.")
@click.option("-t", "--tty", is_flag=True, help="Give it a terminal.")
@click.option("-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Environment variable.")
@click.option("--env-file", multiple=True, type=click.Path(exists=True, dir_okay=False), help="File of NAME=VALUE.")
@click.option("-w", "--workdir", default="", metavar="DIR", help="Working directory.")
@click.option("-u", "--user", default="", metavar="USER[:GROUP]", help="Name or number.")
def exec_command(
    container: str,
    command: tuple[str, ...],
    interactive: bool,
    tty: bool,
    env: tuple[str, ...],
    env_file: tuple[str, ...],
    workdir: str,
    user: str,
) -> None:
    """Run COMMAND in CONTAINER; the exit status is the command's.

    \b
    Examples:
      knarr-runtime exec -it web sh
      knarr-runtime exec -e DEBUG=1 -w /app web ./check
    """
    with failures():
        if tty and interactive and not sys.stdin.isatty():
            fail("the input device is not a TTY: leave -t out, or run it on a terminal")
        connected = session()
        found = connected.find_container(container)
        files = (Path(path).read_text() for path in env_file)
        request = containers_pb2.ExecRequest(
            container_id=found.id,
            command=command,
            tty=tty,
            stdin=interactive,
            env=[f"{name}={value}" for name, value in parsing.environment(env, files, {**os.environ})],
            cwd=workdir,
            user=user,
        )
        url = connected.containers.Exec(request, timeout=QUICK_S).url
    with failures(126):
        streams = Streams(url, tty=tty, stdin=interactive, detach_keys=b"")
        streams.open()
        result = streams.run()
        if result.exit_code is None:
            fail(result.message or "the session ended without a result", 126)
        if result.exit_code in (126, 127) and result.message:
            click.echo(f"knarr-runtime: {result.message}", err=True)
        raise SystemExit(result.exit_code)


@verb(short_help="Attach to a running container")
@click.argument("container", shell_complete=RUNNING)
@click.option("--no-stdin", is_flag=True, help="Only look.")
def attach(container: str, no_stdin: bool) -> None:
    """Connect this terminal to CONTAINER's; Ctrl-P Ctrl-Q detaches from one with a terminal.

    \b
    Example:
      knarr-runtime attach shell
    """
    with failures():
        connected = session()
        found = connected.find_container(container)
        known = information(connected, found.id)
        tty, stdin = bool(known.get("tty")), bool(known.get("stdin")) and not no_stdin
        request = cri.AttachRequest(container_id=found.id, stdin=stdin, stdout=True, stderr=not tty, tty=tty)
        streams = Streams(connected.runtime.Attach(request, timeout=QUICK_S).url, tty=tty, stdin=stdin)
        ended = waiting(connected, found.id)
        streams.open()
        if not streams.run().detached:
            raise SystemExit(next(ended).exit_code)


@verb(short_help="Show the processes of a container")
@click.argument("container", shell_complete=RUNNING)
def top(container: str) -> None:
    """Each process as the host sees it, with the host's numbers.

    \b
    Example:
      knarr-runtime top web
    """
    with failures():
        connected = session()
        found = connected.find_container(container)
        if found.state != cri.CONTAINER_RUNNING:
            fail(f"container {container} is not running")
        pids = sorted(descriptions(connected, found.id)[found.id].pids)
        rows = [row for row in map(_process, pids) if row is not None]
        click.echo(table(("UID", "PID", "PPID", "STAT", "STIME", "TIME", "CMD"), rows))


def _process(pid: int) -> tuple[str, ...] | None:
    """None for one that has just ended. Source: proc(5), /proc/pid/stat."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        owner = os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
    name = stat[stat.index("(") + 1 : stat.rindex(")")]
    fields = stat[stat.rindex(")") + 2 :].split()
    ticks = os.sysconf("SC_CLK_TCK")
    used_s = (int(fields[11]) + int(fields[12])) // ticks
    began_s = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + int(fields[19]) / ticks
    return (
        _user(owner),
        str(pid),
        fields[1],
        fields[0],
        time.strftime("%H:%M", time.localtime(began_s)),
        f"{used_s // 3600:02}:{used_s // 60 % 60:02}:{used_s % 60:02}",
        command or f"[{name}]",
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
