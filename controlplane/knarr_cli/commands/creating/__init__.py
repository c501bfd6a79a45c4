"""``create``: from manifests, or one object from options."""

from __future__ import annotations

import click

from knarr_cli import sending
from knarr_cli.commands.creating import jobs, objects, secrets, services, tokens
from knarr_cli.commands.creating.making import create_all
from knarr_cli.options import (
    Manner,
    files_option,
    manner_options,
    namespace_option,
    recursive_option,
    validate_option,
)
from knarr_cli.verb import VerbAndGroup


@click.group(
    "create",
    cls=VerbAndGroup,
    epilog="""\b
Examples:
  knarr create -f pod.yaml
  knarr create namespace shop
  knarr create deployment web --image shop:1 --replicas 3
  knarr create job now --from=cronjob/nightly
  knarr create configmap settings --from-literal colour=blue --from-file conf.d
  knarr create token default --duration 1h""",
)
@files_option
@recursive_option
@namespace_option
@validate_option
@manner_options("knarr-create")
@click.pass_context
def create_group(
    ctx: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    validate: str,
    manner: Manner,
) -> None:
    """Create objects from manifests, or one from options; fails for those that exist."""
    if ctx.invoked_subcommand is not None:
        if files:
            raise click.UsageError("-f names manifests: it goes without KIND NAME", ctx)
        return
    found = sending.read(ctx, files, recursive=recursive, validate=validate)
    create_all(ctx, found, namespace, manner, validate=validate)


for _command in (
    *objects.commands,
    *jobs.commands,
    *secrets.commands,
    *services.commands,
    *tokens.commands,
):
    create_group.add_command(_command)

commands: tuple[click.Command, ...] = (create_group,)
