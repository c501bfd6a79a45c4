"""``create service TYPE``."""

from __future__ import annotations

import click

from knarr_cli import generators
from knarr_cli.commands.creating.making import NAME, maker
from knarr_cli.generators import Document
from knarr_cli.verb import VerbGroup

TYPES = {
    "clusterip": "ClusterIP",
    "nodeport": "NodePort",
    "loadbalancer": "LoadBalancer",
    "externalname": "ExternalName",
}


@click.group("service", cls=VerbGroup)
def service_group() -> None:
    """Create a service: clusterip, nodeport, loadbalancer or externalname."""


def _of_type(word: str, type_: str) -> tuple[click.Command, ...]:
    @maker(
        word,
        f"A service of type {type_} for the pods with the label app=NAME.",
        f"knarr create service {word} web --tcp=80:8080",
        NAME,
        click.option("--tcp", multiple=True, metavar="PORT[:TARGET]", help="A port, and the pods' port."),
        click.option("--clusterip", "cluster_ip", default="", help="An address, or None."),
        click.option("--external-name", default="", help="Of externalname: what it stands for."),
    )
    def service(name: str, tcp: tuple[str, ...], cluster_ip: str, external_name: str) -> Document:
        return generators.service(name, type_, tcp, cluster_ip=cluster_ip, external_name=external_name)

    return service


for _command in (command for word, type_ in TYPES.items() for command in _of_type(word, type_)):
    service_group.add_command(_command)

commands: tuple[click.Command, ...] = (service_group,)
