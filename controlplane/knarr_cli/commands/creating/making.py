"""How objects are created, whatever they were made of: options, sending, and subcommands made of a function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import click

from knarr_api import kinds
from knarr_cli import sending
from knarr_cli.generators import Document
from knarr_cli.manifests import Manifest
from knarr_cli.options import Command, Manner, Option, manner_options, namespace_option
from knarr_cli.sending import VALIDATIONS
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer

NAME = click.argument("name")
COMMAND = click.argument("command", nargs=-1)
IMAGE = click.option("--image", required=True, help="Which image the container runs.")
CONTENTS = (
    click.option("--from-literal", "literals", multiple=True, metavar="KEY=VALUE", help="One entry."),
    click.option("--from-file", "files", multiple=True, metavar="[KEY=]PATH", help="A file, or all of a directory."),
    click.option("--from-env-file", "env_files", multiple=True, metavar="PATH", help="A file of lines KEY=VALUE."),
)
"""Of what has keys: ConfigMaps and Secrets."""
RESTARTS = click.Choice(["Always", "OnFailure", "Never"])


def making_options(function: Command) -> Command:
    """Options of everything that makes one object."""
    return namespace_option(manner_options("knarr-create")(function))


def create_all(
    ctx: click.Context,
    found: list[Manifest],
    namespace: str,
    manner: Manner,
    *,
    validate: str = "strict",
    word: str = "created",
) -> None:
    """word: what is said of each."""

    async def one(client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        if manner.only_said:
            return word, Answer(object=manifest.document)
        return word, await client.raw.create(
            manifest.document,
            namespace=space,
            field_manager=manner.manager,
            validation=VALIDATIONS[validate],
            dry_run=manner.tried,
        )

    sending.send(ctx, found, namespace, one, dry_run=manner.dry_run, form=manner.form)


def create_one(ctx: click.Context, made: Document, namespace: str, manner: Manner) -> None:
    kind = kinds.by_kind(made["apiVersion"], made["kind"])
    create_all(ctx, [Manifest(kind, made, "")], namespace, manner)


def maker(
    name: str, summary: str, example: str, *options: Option, aliases: str = ""
) -> Callable[[Callable[..., Document]], tuple[click.Command, ...]]:
    """A subcommand for a kind, from a function that makes its document of the options.

    aliases: other names of it, separated by blanks, which make commands that are not listed.
    """

    def decorate(make: Callable[..., Document]) -> tuple[click.Command, ...]:
        def callback(ctx: click.Context, /, namespace: str, manner: Manner, **given: Any) -> None:
            create_one(ctx, make(**given), namespace, manner)

        function: Command = making_options(click.pass_context(callback))
        for option in reversed(options):
            function = option(function)
        command = click.command(name, cls=Verb, help=summary, epilog=_examples(example))(function)
        return (command, *(_alias(command, each, example) for each in aliases.split()))

    return decorate


def _alias(command: click.Command, name: str, example: str) -> click.Command:
    other = copy.copy(command)
    other.name, other.hidden = name, True
    other.epilog = _examples(example.replace(f"knarr create {command.name} ", f"knarr create {name} "))
    return other


def _examples(line: str) -> str:
    return f"\b\nExamples:\n  {line}"
