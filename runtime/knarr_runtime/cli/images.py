"""Verbs on images."""

from __future__ import annotations

import fnmatch
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click
import grpc

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import images_pb2
from knarr_runtime.cli import templates
from knarr_runtime.cli.names import IMAGE, familiar
from knarr_runtime.cli.output import OUTPUTS, Transfer, ago, human_size, short, show, table
from knarr_runtime.cli.pulling import pull_image
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, session
from knarr_runtime.cli.verbs import verb
from knarr_runtime.images import names

CHUNK_BYTES = 1 << 20


FILTERS = ("reference", "label", "dangling", "before", "since")


@verb(short_help="List images")
@click.argument("name", required=False, shell_complete=IMAGE)
@click.option("-a", "--all", "everything", is_flag=True, help="No effect: there are no others.")
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--digests", is_flag=True, help="Also the digests of the manifests.")
@click.option("--no-trunc", is_flag=True, help="Whole ids.")
@click.option("-f", "--filter", "filters", multiple=True, metavar="KEY=VALUE", help=f"{', '.join(FILTERS)}.")
@click.option("--format", "template", default="", metavar="TEMPLATE", help="As Go's: '{{.Repository}}:{{.Tag}}'.")
@click.option("-o", "--output", "form", type=OUTPUTS, default="table")
def images(
    name: str | None,
    everything: bool,
    quiet: bool,
    digests: bool,
    no_trunc: bool,
    filters: tuple[str, ...],
    template: str,
    form: str,
) -> None:
    """List the images of this machine; with NAME only those of that repository.

    \b
    Examples:
      knarr-runtime images --filter dangling=true -q
      knarr-runtime images --filter reference='team/*:2' --format '{{.ID}} {{.Size}}'
    """
    with failures():
        connected = session()
        found = connected.cri_images.ListImages(cri.ListImagesRequest(), timeout=QUICK_S).images
        wanted = _Wanted(connected, filters)
        rows = [
            row
            for image in sorted(found, key=lambda each: tuple(each.repo_tags))
            for row in _rows(connected, image, wanted, no_trunc=no_trunc)
            if name is None or name in _names(row)
        ]
        if quiet:
            for identifier in dict.fromkeys(row["ID"] for row in rows):
                click.echo(identifier)
            return
        if template:
            text = templates.listed(template, rows, table)
            click.echo(text) if text else None
            return
        keys, titles = (
            ["Repository", "Tag", "ID", "CreatedSince", "Size"],
            ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"],
        )
        if digests:
            keys.insert(2, "Digest")
            titles.insert(2, "DIGEST")
        show(titles, [[row[key] for key in keys] for row in rows], rows, form)


def _names(row: dict[str, str]) -> set[str]:
    repository, tag = row["Repository"], row["Tag"]
    full = names.normalise(repository).rpartition(":")[0] if repository != "<none>" else repository
    return {repository, f"{repository}:{tag}", full, f"{full}:{tag}"}


def _rows(connected: Session, image: Any, wanted: _Wanted, *, no_trunc: bool) -> Iterator[dict[str, str]]:
    """One for each name, with Docker's keys."""
    details = inspected(connected, image.id)
    for tag in list(image.repo_tags) or ["<none>:<none>"]:
        repository, _, label = tag.rpartition(":")
        if wanted.passes(familiar(tag), details, dangling=not image.repo_tags):
            yield {
                "ID": image.id if no_trunc else short(image.id),
                "Repository": familiar(repository),
                "Tag": label,
                "Digest": next((each.partition("@")[2] for each in image.repo_digests), "<none>"),
                "CreatedSince": _created(details),
                "CreatedAt": str(details.get("Created", "")),
                "Size": human_size(image.size),
            }


class _Wanted:
    """The filters. Exits for one that is not known."""

    def __init__(self, connected: Session, filters: tuple[str, ...]) -> None:
        self._filters = [text.partition("=")[::2] for text in filters]
        for key, value in self._filters:
            if key not in FILTERS:
                fail(f"filter {key}={value} is not supported: {', '.join(f'{each}=' for each in FILTERS)} are")
        self._bounds = {
            value: str(inspected(connected, value).get("Created", ""))
            for key, value in self._filters
            if key in ("before", "since")
        }

    def passes(self, name: str, details: dict[str, Any], *, dangling: bool) -> bool:
        return all(self._one(key, value, name, details, dangling=dangling) for key, value in self._filters)

    def _one(self, key: str, value: str, name: str, details: dict[str, Any], *, dangling: bool) -> bool:
        created = str(details.get("Created", ""))
        match key:
            case "reference":
                return any(fnmatch.fnmatchcase(one, value) for one in (name, name.rpartition(":")[0]))
            case "dangling":
                return dangling is (value in ("true", "1"))
            case "before":
                return created < self._bounds[value]
            case "since":
                return created > self._bounds[value]
        labels = details["Config"].get("Labels") or {}
        label, equals, text = value.partition("=")
        return label in labels and (not equals or labels[label] == text)


def _created(details: dict[str, Any]) -> str:
    import datetime

    try:
        moment = datetime.datetime.fromisoformat(str(details.get("Created", "")).replace("Z", "+00:00")[:19] + "+00:00")
    except ValueError:
        return "N/A"
    return f"{ago(time.time() - moment.timestamp())} ago"


def inspected(connected: Session, name: str) -> dict[str, Any]:
    try:
        answer = connected.images.Inspect(images_pb2.InspectRequest(image=name), timeout=QUICK_S)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.NOT_FOUND:
            fail(f"No such container or image: {name}")
        raise
    document: dict[str, Any] = json.loads(answer.json)
    return document


@verb(short_help="Get an image from a registry")
@click.argument("image")
@click.option("--platform", default="", metavar="OS/ARCH", help="Default: this machine's.")
@click.option("-q", "--quiet", is_flag=True, help="Only the name at the end.")
@click.option("--creds", default="", metavar="USER:PASSWORD|-", help="Else Docker's configuration files; - asks.")
def pull(image: str, platform: str, quiet: bool, creds: str) -> None:
    """Download IMAGE; what is here already is not sent again, what was broken off goes on.

    \b
    Example:
      knarr-runtime pull --creds - registry.example/team/app:2
    """
    with failures():
        result = pull_image(session(), image, platform, quiet=quiet, auth=credentials(creds))
        if result is None:
            fail("the runtime ended the transfer without a result")
        if not quiet:
            click.echo(f"Digest: {result.digest}", err=True)
        click.echo(result.name)


@verb(short_help="Send an image to a registry")
@click.argument("image", shell_complete=IMAGE)
@click.option("-q", "--quiet", is_flag=True, help="Only the name at the end.")
@click.option("--creds", default="", metavar="USER:PASSWORD|-", help="Else Docker's configuration files; - asks.")
def push(image: str, quiet: bool, creds: str) -> None:
    """Upload IMAGE to the registry its name says.

    \b
    Example:
      knarr-runtime push registry.example/team/app:2
    """
    with failures():
        request = images_pb2.PushRequest(image=image, auth=credentials(creds))
        with Transfer(quiet=quiet) as shown:
            for message in session().images.Push(request):
                shown.take(message)
                if message.HasField("result"):
                    click.echo(f"{message.result.name}: digest: {message.result.digest}")


def credentials(text: str) -> Any:
    """A password on the command line can be read by others on the machine: ``-`` asks, or reads standard input."""
    if not text:
        return None
    if text == "-":
        user = click.prompt("Username", err=True)
        return images_pb2.RegistryAuth(username=user, password=click.prompt("Password", hide_input=True, err=True))
    user, colon, password = text.partition(":")
    if not colon:
        fail("creds: write USER:PASSWORD, or - to be asked")
    return images_pb2.RegistryAuth(username=user, password=password)


@verb(short_help="Give an image another name")
@click.argument("image", shell_complete=IMAGE)
@click.argument("name")
def tag(image: str, name: str) -> None:
    """NAME, with its tag, stands for IMAGE from now on.

    \b
    Example:
      knarr-runtime tag app:2 registry.example/team/app:2
    """
    with failures():
        session().images.Tag(images_pb2.TagRequest(image=image, name=name), timeout=QUICK_S)


@verb(short_help="Remove images")
@click.argument("images", nargs=-1, required=True, shell_complete=IMAGE)
def rmi(images: tuple[str, ...]) -> None:
    """Take names away; an image goes with its last one. One that a container uses stays.

    \b
    Example:
      knarr-runtime rmi app:1 app:2
    """
    with failures():
        connected = session()
        failed = False
        for image in images:
            try:
                answer = connected.images.Remove(images_pb2.RemoveRequest(image=image), timeout=QUICK_S)
            except grpc.RpcError as error:
                missing = error.code() is grpc.StatusCode.NOT_FOUND
                click.echo(f"knarr-runtime: {f'No such image: {image}' if missing else error.details()}", err=True)
                failed = True
                continue
            for name in answer.untagged:
                click.echo(f"Untagged: {familiar(name)}")
            if answer.deleted:
                click.echo(f"Deleted: {answer.deleted}")
        raise SystemExit(1 if failed else 0)


@verb(short_help="Import images from an archive")
@click.option("-i", "--input", "source", type=click.Path(exists=True, dir_okay=False), help="Default: standard input.")
@click.option("-q", "--quiet", is_flag=True)
def load(source: str | None, quiet: bool) -> None:
    """Read a docker-archive or an OCI layout, compressed or not.

    \b
    Example:
      zstd -dc images.tar.zst | knarr-runtime load
    """
    with failures():
        if source is None and sys.stdin.isatty():
            fail("no archive: use -i FILE, or redirect standard input")
        with open(source, "rb") if source else open(0, "rb", closefd=False) as file:
            answer = session().images.Import(_pieces(file))
        for identifier, name in zip(answer.ids, list(answer.names) or answer.ids, strict=False):
            click.echo(name if quiet else f"Loaded image: {name} ({short(identifier)})")


def _pieces(file: IO[bytes]) -> Iterator[Any]:
    while data := file.read(CHUNK_BYTES):
        yield images_pb2.ImportRequest(data=data)


@verb(short_help="Write images to an archive")
@click.argument("images", nargs=-1, required=True, shell_complete=IMAGE)
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Default: standard output.")
@click.option("--format", "form", type=click.Choice(["docker-archive", "oci-archive"]), default="docker-archive")
def save(images: tuple[str, ...], target: Path | None, form: str) -> None:
    """Write all IMAGES to one archive.

    \b
    Example:
      knarr-runtime save -o images.tar app:1 app:2
    """
    with failures():
        if target is None and sys.stdout.isatty():
            fail("an archive is not written to a terminal: use -o FILE, or redirect standard output")
        answers = session().images.Export(images_pb2.ExportRequest(images=images, format=form))
        if target is None:
            for answer in answers:
                sys.stdout.buffer.write(answer.data)
            return
        partial = target.with_name(f".{target.name}.partial")
        try:
            with partial.open("wb") as file:
                for answer in answers:
                    file.write(answer.data)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
