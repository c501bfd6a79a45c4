"""``completion`` and ``config``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from knarr_cli import output
from knarr_cli.session import session
from knarr_cli.verb import Verb, VerbGroup

VARIABLE = "_KNARR_COMPLETE"


@click.command(
    cls=Verb,
    name="completion",
    epilog="""\b
Examples:
  source <(knarr completion bash)
  knarr completion zsh > ~/.zfunc/_knarr
  knarr completion fish | source""",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion_command(ctx: click.Context, shell: str) -> None:
    """Print the shell's completion script."""
    class_ = get_completion_class(shell)
    if class_ is None:
        raise click.ClickException(f"no completion for {shell}")
    root = ctx.find_root().command
    output.write(class_(root, {}, "knarr", VARIABLE).source())


@click.group("config", cls=VerbGroup)
def config_group() -> None:
    """Show the kubeconfig in use."""


@config_group.command("view", epilog="\b\nExamples:\n  knarr config view")
@click.pass_context
def view_command(ctx: click.Context) -> None:
    """Where the cluster is and who you are, without keys."""
    access = session(ctx).access
    content = {
        "context": access.context,
        "cluster": access.cluster,
        "servers": [f"https://{endpoint}" for endpoint in access.endpoints],
        "user": access.user,
        "namespace": access.namespace,
    }
    output.document("yaml", content)


@config_group.command("current-context", epilog="\b\nExamples:\n  knarr config current-context")
@click.pass_context
def current_context_command(ctx: click.Context) -> None:
    """The context's name."""
    output.write(session(ctx).access.context)


commands: tuple[click.Command, ...] = (completion_command, config_group)
