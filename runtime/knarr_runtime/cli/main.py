"""The command's root: which verbs there are, and where the daemon is."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from knarr_runtime.cli import (
    building,
    changing,
    copying,
    images,
    listing,
    looking,
    processes,
    running,
    stopping,
    system,
    volumes,
)
from knarr_runtime.cli.output import document_text
from knarr_runtime.cli.session import DEFAULT_SOCKET, Session

WRONG_USAGE = 125


@click.group(
    context_settings={"help_option_names": ["--help"]},
    epilog="A daemon serves all verbs: start one with 'knarr-runtime serve'.",
)
@click.option(
    "-H",
    "--socket",
    type=click.Path(path_type=Path),
    default=DEFAULT_SOCKET,
    envvar="KNARR_RUNTIME_SOCKET",
    show_default=True,
    help="Where the daemon serves; also $KNARR_RUNTIME_SOCKET.",
)
@click.pass_context
def knarr_runtime(context: click.Context, socket: Path) -> None:
    """Containers on this machine, without a cluster."""
    context.obj = Session(socket)


@knarr_runtime.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def serve(arguments: tuple[str, ...]) -> None:
    """Serve CRI on a unix socket (the daemon)"""
    from knarr_runtime import serving

    serving.serve(["serve", *arguments])


@knarr_runtime.command()
@click.option("-o", "--output", "form", type=click.Choice(["text", "json", "yaml"]), default="text", show_default=True)
def check(form: str) -> None:
    """Say what this kernel and these privileges allow

    Each is ok, a note (something is left out) or FAIL: then containers can't run here, and the exit status is 1.

    \b
    Example:
      knarr-runtime check -o json | jq '.findings[] | select(.state != "ok")'
    """
    from knarr_runtime import check as checking

    found = checking.findings()
    if form == "text":
        for each in found:
            click.echo(each.lines())
    else:
        click.echo(document_text(checking.document(found), form))
    raise SystemExit(1 if checking.failed(found) else 0)


@knarr_runtime.command()
def version() -> None:
    """Print the versions of this command and of the daemon

    \b
    Example:
      knarr-runtime version
    """
    import importlib.metadata

    from knarr_proto.cri import api_pb2 as cri
    from knarr_runtime.cli.session import QUICK_S, failures, session

    click.echo(f"Client: {importlib.metadata.version('knarr')}")
    with failures():
        answer = session().runtime.Version(cri.VersionRequest(), timeout=QUICK_S)
        click.echo(f"Daemon: {answer.runtime_name} {answer.runtime_version} (CRI {answer.runtime_api_version})")


@knarr_runtime.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print a script that completes this command in SHELL

    \b
    Example:
      source <(knarr-runtime completion bash)
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(knarr_runtime, {}, "knarr-runtime", "_KNARR_RUNTIME_COMPLETE").source())


for command in (
    *(running.run, running.create, running.start, running.restart),
    *(stopping.stop, stopping.kill, stopping.pause, stopping.unpause, stopping.rm, stopping.wait),
    *(listing.ps, looking.inspect, looking.port, looking.stats, looking.diff),
    *(processes.attach, processes.top, copying.cp, changing.update, changing.rename, changing.commit),
    *(images.images, images.pull, images.push, images.tag, images.rmi, images.load, images.save, building.build),
    *(volumes.volume, system.events, system.df, system.info, system.prune),
):
    knarr_runtime.add_command(command)
knarr_runtime.add_command(looking.logs_command, "logs")
knarr_runtime.add_command(processes.exec_command, "exec")


def main() -> None:
    """Entry of the verbs. What is wrong on the command line ends with 125, as Docker's."""
    try:
        status = knarr_runtime.main(prog_name="knarr-runtime", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        status = WRONG_USAGE
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        status = 130
    sys.exit(status)
