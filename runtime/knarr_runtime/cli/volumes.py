"""``volume``: named directories that outlive containers."""

from __future__ import annotations

import click
import grpc

from knarr_proto.runtime.v1 import containers_pb2
from knarr_runtime.cli import looking, parsing, templates
from knarr_runtime.cli.names import VOLUME
from knarr_runtime.cli.output import OUTPUTS, document_text, human_size, show, table
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, session
from knarr_runtime.cli.verbs import Verb


@click.group(short_help="Volumes: list, make, remove them")
def volume() -> None:
    """Volumes are directories of this machine; ``run -v NAME:PATH`` makes them as well. A new one begins with what the
    image has at PATH."""


@volume.command("ls", cls=Verb)
@click.option("-q", "--quiet", is_flag=True, help="Names only.")
@click.option(
    "-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help="name=, label=, dangling=true|false."
)
@click.option("--format", "template", default="", metavar="TEMPLATE", help="As Go's: '{{.Name}}'.")
@click.option("-o", "--output", "form", type=OUTPUTS, default="table")
def ls(quiet: bool, filters: tuple[str, ...], template: str, form: str) -> None:
    """List the volumes.

    \b
    Example:
      knarr-runtime volume ls --filter dangling=true
    """
    with failures():
        found = _list(session())
        for text in filters:
            key, _, value = text.partition("=")
            if key == "name":
                found = [each for each in found if value in each.name]
            elif key == "label":
                name, equals, wanted = value.partition("=")
                found = [each for each in found if name in each.labels and (not equals or each.labels[name] == wanted)]
            elif key == "dangling":
                found = [each for each in found if (not each.container_ids) is (value in ("true", "1"))]
            else:
                fail(f"filter {text!r} is not supported: name=, label= and dangling= are")
        documents = [looking.volume_document(each) for each in found]
        if quiet:
            for each in found:
                click.echo(each.name)
        elif template:
            text = templates.listed(template, documents, table)
            click.echo(text) if text else None
        else:
            rows = [(each.name, "local", str(len(each.container_ids)), each.path) for each in found]
            show(("VOLUME NAME", "DRIVER", "CONTAINERS", "DIRECTORY"), rows, documents, form)


def _list(connected: Session, *, sizes: bool = False) -> list[containers_pb2.Volume]:
    return list(connected.volumes.List(containers_pb2.VolumeListRequest(sizes=sizes)).volumes)


@volume.command("create", cls=Verb)
@click.argument("name", required=False)
@click.option("-l", "--label", multiple=True, metavar="KEY=VALUE", help="Label of the volume.")
@click.option("-d", "--driver", default="local", show_default=True, help="There is only this.")
def create(name: str | None, label: tuple[str, ...], driver: str) -> None:
    """Make a volume and print its name; one that exists stays as it is.

    \b
    Example:
      knarr-runtime volume create -l app=web data
    """
    with failures():
        if driver != "local":
            fail(f"volume driver {driver} is not supported: volumes are directories of this machine")
        request = containers_pb2.VolumeCreateRequest(name=name or "", labels=parsing.pairs(label, "label"))
        click.echo(session().volumes.Create(request, timeout=QUICK_S).volume.name)


@volume.command("rm", cls=Verb)
@click.argument("names", nargs=-1, required=True, shell_complete=VOLUME)
@click.option("-f", "--force", is_flag=True, help="One that is not there is no failure.")
def rm(names: tuple[str, ...], force: bool) -> None:
    """Remove volumes with what is in them; not while a container has them.

    \b
    Example:
      knarr-runtime volume rm data
    """
    connected, failed = session(), False
    for name in names:
        try:
            connected.volumes.Delete(containers_pb2.VolumeDeleteRequest(name=name), timeout=QUICK_S)
        except grpc.RpcError as error:
            if not (force and error.code() is grpc.StatusCode.NOT_FOUND):
                click.echo(f"knarr-runtime: {error.details()}", err=True)
                failed = True
                continue
        click.echo(name)
    raise SystemExit(1 if failed else 0)


@volume.command("inspect", cls=Verb)
@click.argument("names", nargs=-1, required=True, shell_complete=VOLUME)
@click.option("-f", "--format", "template", default="", metavar="TEMPLATE", help="As Go's: '{{.Mountpoint}}'.")
def inspect(names: tuple[str, ...], template: str) -> None:
    """Print JSON.

    \b
    Example:
      knarr-runtime volume inspect -f '{{.Mountpoint}}' data
    """
    with failures():
        known = {each.name: each for each in _list(session())}
        for name in names:
            if name not in known:
                fail(f"no such volume: {name}")
        documents = [looking.volume_document(known[name]) for name in names]
        if template:
            click.echo("\n".join(templates.Template(template).render(each) for each in documents))
        else:
            click.echo(document_text(documents, "json"))


@volume.command("prune", cls=Verb)
@click.option("-a", "--all", "everything", is_flag=True, help="Also those with a name.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
def prune(everything: bool, force: bool) -> None:
    """Remove the volumes without a name that no container has.

    \b
    Example:
      knarr-runtime volume prune -f
    """
    with failures():
        connected = session()
        which = "all volumes" if everything else "all volumes without a name"
        if not force:
            click.confirm(f"This removes {which} that no container has. Go on?", abort=True, err=True)
        freed = 0
        for each in _list(connected, sizes=True):
            if not each.container_ids and (everything or each.anonymous):
                connected.volumes.Delete(containers_pb2.VolumeDeleteRequest(name=each.name), timeout=QUICK_S)
                click.echo(f"Deleted volume: {each.name}")
                freed += each.bytes
        click.echo(f"Total reclaimed space: {human_size(freed)}")
