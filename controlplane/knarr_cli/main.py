"""Entry point: finds the subcommand, imports only its module, and turns errors into messages and exit codes."""

from __future__ import annotations

import difflib
import importlib
import io
import os
import sys
from typing import Any

import click

from knarr_cli.verb import global_options, spelt_out

MODULES: dict[str, tuple[str, ...]] = {
    "knarr_cli.cluster.commands": ("up", "down", "node"),
    "knarr_cli.commands.reading": ("get", "describe", "events"),
    "knarr_cli.commands.logs": ("logs",),
    "knarr_cli.commands.asking": ("why",),
    "knarr_cli.commands.knowing": ("api-resources", "api-versions", "explain", "version", "cluster-info", "auth"),
    "knarr_cli.commands.applying": ("apply",),
    "knarr_cli.commands.diffing": ("diff",),
    "knarr_cli.commands.creating": ("create",),
    "knarr_cli.commands.running": ("run", "expose"),
    "knarr_cli.commands.writing": ("replace", "delete"),
    "knarr_cli.commands.changing": ("patch", "label", "annotate", "taint"),
    "knarr_cli.commands.editing": ("edit",),
    "knarr_cli.commands.setting": ("set",),
    "knarr_cli.commands.autoscaling": ("autoscale",),
    "knarr_cli.commands.workloads": ("scale", "wait"),
    "knarr_cli.commands.rollout": ("rollout",),
    "knarr_cli.commands.draining": ("cordon", "uncordon", "drain"),
    "knarr_cli.commands.joining": ("token",),
    "knarr_cli.commands.images": ("image",),
    "knarr_cli.commands.using": ("top",),
    "knarr_cli.commands.keeping": ("backup", "restore"),
    "knarr_cli.commands.simulating": ("simulate",),
    "knarr_cli.commands.past": ("history", "undo"),
    "knarr_cli.commands.building": ("build",),
    "knarr_cli.commands.shell": ("completion", "config"),
}
SUMMARIES = {
    "up": "Start a cluster on this machine",
    "down": "Stop a cluster of this machine and remove everything it made",
    "node": "Nodes of this machine: join, kill, start",
    "get": "Show objects",
    "describe": "Show one object in detail, with its events",
    "events": "Show events",
    "why": "Say why a pod or workload is as it is",
    "logs": "Print the log of a container",
    "api-resources": "Show which kinds there are",
    "api-versions": "Show which versions of groups there are",
    "explain": "Show the fields of a kind",
    "auth": "Who you are, and what you may do",
    "version": "Show versions",
    "cluster-info": "Show where the API is and how it does",
    "apply": "Make the cluster as the manifests say",
    "diff": "Show what applying would change",
    "create": "Create objects from manifests or options",
    "run": "Run one pod of an image",
    "expose": "Make a service for pods",
    "replace": "Replace objects by manifests",
    "delete": "Delete objects",
    "patch": "Change fields of an object",
    "label": "Set or remove labels",
    "annotate": "Set or remove annotations",
    "taint": "Keep pods away from nodes",
    "edit": "Change objects in an editor",
    "set": "Change images, variables or resources of containers",
    "autoscale": "Make an autoscaler",
    "scale": "Set the number of replicas",
    "rollout": "Follow, undo or restart rollouts",
    "wait": "Wait for a condition",
    "cordon": "Let no new pods onto a node",
    "uncordon": "Let new pods onto a node again",
    "drain": "Empty a node",
    "token": "Tokens for machines to join with",
    "image": "Images of local nodes",
    "top": "Show what nodes and pods use",
    "backup": "Save the cluster's store and keys, or check such a file",
    "restore": "Fill an empty store from a backup",
    "simulate": "Say where manifests would go, without touching a cluster",
    "history": "Show what an object has been, and who changed it",
    "undo": "Take back what an apply changed",
    "build": "Build an image from a Dockerfile",
    "completion": "Shell completion",
    "config": "Show the kubeconfig in use",
}


class Lazy(click.Group):
    """Subcommands by name; a module is imported when one of its commands is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for names in MODULES.values() for name in names]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for module, names in MODULES.items():
            if cmd_name in names:
                commands: tuple[click.Command, ...] = importlib.import_module(module).commands
                return next(command for command in commands if command.name == cmd_name)
        return None

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spelt_out(self.params, args))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.list_commands(ctx):
            near = difflib.get_close_matches(args[0], self.list_commands(ctx), n=2)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f'unknown command "{args[0]}" for "knarr"{hint}', ctx)
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """A reader that goes away ends the command as SIGPIPE would; the signal itself would also end gRPC."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except (BrokenPipeError, ExceptionGroup) as error:
            if isinstance(error, ExceptionGroup) and error.subgroup(BrokenPipeError) is None:
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(141) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, SUMMARIES[name]) for name in self.list_commands(ctx)])


@click.command(
    cls=Lazy,
    epilog="""\b
Examples:
  knarr up --nodes 3 --data-dir D --detach      # a cluster on this machine
  export KUBECONFIG=D/admin.kubeconfig
  knarr apply -f deploy/examples/web.yaml
  knarr get pods -o wide""",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option("-n", "--namespace", default="", help='Default: the kubeconfig\'s, else "default".')
@click.pass_context
def cli(ctx: click.Context, namespace: str) -> None:
    """Knarr: a Kubernetes-style orchestrator, small enough to read."""
    ctx.ensure_object(dict)["namespace"] = namespace


cli.params = [*global_options(hidden=False), *cli.params]


def main() -> None:
    """Exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no "…" still gets the rest
    try:
        status: Any = cli.main(prog_name="knarr", standalone_mode=False)
        sys.stdout.flush()
        raise SystemExit(status if isinstance(status, int) else 0)
    except click.exceptions.Abort:
        raise SystemExit(130) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        message = _explain(error)
        if message is None:
            raise
        sys.stderr.write(message + "\n")
        raise SystemExit(1) from None


def _explain(error: BaseException) -> str | None:
    """What to tell the user of an error of the API or of the input; None for one that is a mistake of ours."""
    from knarr_api.errors import KnarrError
    from knarr_cli.refusal import explain

    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return explain(error) if isinstance(error, KnarrError) else None


if __name__ == "__main__":
    main()
