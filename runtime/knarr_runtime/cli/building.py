"""``build``: an image from a Dockerfile."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from knarr_build import client
from knarr_build.context import ContextError
from knarr_runtime.cli.images import credentials
from knarr_runtime.cli.session import fail, failures, session
from knarr_runtime.cli.verbs import verb


@verb(short_help="Make an image from a Dockerfile")
@click.argument("directory", metavar="DIR|-")
@click.option(
    "-t", "--tag", "tags", multiple=True, metavar="NAME", help="Name of the image; may be given several times."
)
@click.option("-f", "--file", "dockerfile", default="", metavar="FILE|-", help="Default: DIR/Dockerfile.")
@click.option("--target", default="", metavar="STAGE", help="Stop at this stage.")
@click.option("--platform", default="", metavar="OS/ARCH", help="Default: this machine's.")
@click.option("--build-arg", "arguments", multiple=True, metavar="NAME[=VALUE]", help="A value for ARG.")
@click.option("--label", "labels", multiple=True, metavar="NAME=VALUE", help="A label for the image.")
@click.option("--secret", "secrets", multiple=True, metavar="id=NAME,src=FILE", help="For RUN --mount=type=secret.")
@click.option("--no-cache", is_flag=True, help="Carry out every step.")
@click.option("--pull", is_flag=True, help="Ask registries for newer base images.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the image's ID.")
@click.option("--progress", type=click.Choice(client.PROGRESS), default="auto", help="plain: never one line anew.")
@click.option("--creds", multiple=True, metavar="REGISTRY=USER:PASSWORD|-", help="For base images; - asks.")
@click.option("--iidfile", type=click.Path(path_type=Path), default=None, help="Write the image's ID to this file.")
def build(
    directory: str,
    tags: tuple[str, ...],
    dockerfile: str,
    target: str,
    platform: str,
    arguments: tuple[str, ...],
    labels: tuple[str, ...],
    secrets: tuple[str, ...],
    no_cache: bool,
    pull: bool,
    quiet: bool,
    progress: str,
    creds: tuple[str, ...],
    iidfile: Path | None,
) -> None:
    """Build an image; DIR is the context, - a Dockerfile on standard input without one.

    \b
    Example:
      knarr-runtime build -t web:1 --build-arg VERSION=1.2 .
    """
    with failures():
        try:
            request = client.opened(
                directory,
                dockerfile,
                sys.stdin.buffer,
                tags=tags,
                target=target,
                platform=platform,
                args=client.build_args(arguments, os.environ),
                labels=client.pairs(labels, "--label"),
                secrets=client.secrets(secrets, os.environ),
                no_cache=no_cache,
                pull=pull,
                auths=_auths(creds),
            )
            identifier = client.build(session().channel, request, client.Display.to_stderr(progress, quiet))
        except ContextError as error:
            fail(str(error))
        if iidfile is not None:
            iidfile.write_text(identifier)
        click.echo(identifier)


def _auths(given: tuple[str, ...]) -> dict[str, Any]:
    """RegistryAuth by registry."""
    found = {}
    for text in given:
        registry, equals, secret = text.partition("=")
        if not equals or not registry:
            fail("creds: write REGISTRY=USER:PASSWORD, or REGISTRY=- to be asked")
        found[registry] = credentials(secret)
    return found
