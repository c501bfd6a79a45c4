"""``create secret generic``, ``create secret tls`` and ``create secret docker-registry``."""

from __future__ import annotations

import click

from knarr_cli import generators
from knarr_cli.commands.creating.making import CONTENTS, NAME, maker
from knarr_cli.generators import Document
from knarr_cli.verb import VerbGroup


@maker(
    "generic",
    "From literals, files and directories.",
    "knarr create secret generic db --from-literal password=x",
    NAME,
    *CONTENTS,
    click.option("--type", "type_", default="", help="[default: Opaque]"),
)
def generic(
    name: str, literals: tuple[str, ...], files: tuple[str, ...], env_files: tuple[str, ...], type_: str
) -> Document:
    return generators.secret(name, generators.contents(literals, files, env_files), type_)


@maker(
    "tls",
    "From a certificate and its key.",
    "knarr create secret tls web --cert web.crt --key web.key",
    NAME,
    click.option("--cert", required=True, metavar="PATH", help="The certificate, as PEM."),
    click.option("--key", required=True, metavar="PATH", help="Its private key, as PEM."),
)
def tls(name: str, cert: str, key: str) -> Document:
    return generators.tls_secret(name, cert, key)


@maker(
    "docker-registry",
    "To pull images with.",
    "knarr create secret docker-registry pull --docker-server r.example --docker-username me",
    NAME,
    click.option("--docker-server", "server", default="https://index.docker.io/v1/", show_default=True, help="Which."),
    click.option("--docker-username", "user", required=True, help="Who."),
    click.option("--docker-password", "password", required=True, help="The password."),
    click.option("--docker-email", "email", default="", help="Of the user."),
)
def docker_registry(name: str, server: str, user: str, password: str, email: str) -> Document:
    return generators.registry_secret(name, server, user, password, email)


@click.group("secret", cls=VerbGroup)
def secret_group() -> None:
    """Create a secret: generic, tls or docker-registry."""


for _command in (*generic, *tls, *docker_registry):
    secret_group.add_command(_command)

commands: tuple[click.Command, ...] = (secret_group,)
