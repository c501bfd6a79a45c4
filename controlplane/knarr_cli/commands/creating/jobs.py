"""``create job``: of an image, or as a CronJob would make it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from knarr_api.errors import Invalid
from knarr_cli import generators, jobs
from knarr_cli.commands.creating.making import create_one, making_options
from knarr_cli.generators import Document
from knarr_cli.options import Manner
from knarr_cli.session import session, targets
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient


@click.command("job", cls=Verb, epilog="\b\nExamples:\n  knarr create job now --from=cronjob/nightly")
@click.argument("name")
@click.argument("command", nargs=-1)
@click.option("--image", default="", help="Which image the container runs.")
@click.option("--from", "source", default="", metavar="cronjob/NAME", help="As this CronJob would make it, now.")
@making_options
@click.pass_context
def job_command(
    ctx: click.Context,
    name: str,
    command: tuple[str, ...],
    image: str,
    source: str,
    namespace: str,
    manner: Manner,
) -> None:
    """Create a job of an image, or as a CronJob would."""
    if bool(image) == bool(source):
        raise Invalid("either --image or --from must be specified")
    if source and command:
        raise Invalid("cannot specify --from and command")
    made = _job_from(ctx, name, source, namespace) if source else generators.job(name, image, list(command))
    create_one(ctx, made, namespace, manner)


def _job_from(ctx: click.Context, name: str, source: str, namespace: str) -> Document:
    """A Job as the named CronJob would make it."""
    own = session(ctx)
    kind, cron_name = targets((source,))[0]
    if kind.kind != "CronJob" or not cron_name:
        raise Invalid(f'--from="{source}": must be cronjob/NAME')

    async def read(client: GrpcClient) -> Mapping[str, Any]:
        return await client.raw.get(kind, cron_name, own.namespace(namespace))

    return jobs.from_cron_job(own.run(read), name)


commands: tuple[click.Command, ...] = (job_command,)
