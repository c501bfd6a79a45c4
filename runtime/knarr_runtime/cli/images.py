"""Verbs on images."""

from __future__ import annotations

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
from knarr_runtime.cli.containers import OUTPUTS, remove
from knarr_runtime.cli.output import Transfer, ago, human_size, short, show
from knarr_runtime.cli.running import pull_image
from knarr_runtime.cli.session import QUICK_S, Session, fail, failures, session

CHUNK_BYTES = 1 << 20


@click.command(short_help="List images")
@click.argument("name", required=False)
@click.option("-q", "--quiet", is_flag=True, help="Ids only.")
@click.option("--digests", is_flag=True, help="Also the digests of the manifests.")
@click.option("-o", "--output", "form", type=OUTPUTS, default="table")
def images(name: str | None, quiet: bool, digests: bool, form: str) -> None:
    """List the images of this machine; with NAME only those of that repository."""
    with failures():
        connected = session()
        found = connected.cri_images.ListImages(cri.ListImagesRequest(), timeout=QUICK_S).images
        rows, documents = [], []
        for image in sorted(found, key=lambda each: tuple(each.repo_tags)):
            details = inspected(connected, image.id)
            for tag in list(image.repo_tags) or ["<none>:<none>"]:
                repository, _, label = tag.rpartition(":")
                if name is not None and name not in (repository, tag, familiar(repository), familiar(tag)):
                    continue
                digest = next((each.partition("@")[2] for each in image.repo_digests), "<none>")
                row = [familiar(repository), label, short(image.id), _created(details), human_size(image.size)]
                if digests:
                    row.insert(2, digest)
                rows.append(row)
                documents.append(
                    {"id": image.id, "repository": repository, "tag": label, "digest": digest, "size": image.size}
                )
        if quiet:
            for identifier in dict.fromkeys(document["id"] for document in documents):
                click.echo(short(identifier))
            return
        titles = ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]
        if digests:
            titles.insert(2, "DIGEST")
        show(titles, rows, documents, form)


def familiar(name: str) -> str:
    """As people write it: without ``docker.io/library/``."""
    return name.removeprefix("docker.io/").removeprefix("library/")


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


@click.command(short_help="Get an image from a registry")
@click.argument("image")
@click.option("--platform", default="", metavar="OS/ARCH", help="Default: this machine's.")
@click.option("-q", "--quiet", is_flag=True, help="Only the name at the end.")
@click.option("--creds", default="", metavar="USER:PASSWORD|-", help="Else Docker's configuration files; - asks.")
def pull(image: str, platform: str, quiet: bool, creds: str) -> None:
    """Download IMAGE; what is here already is not sent again, what was broken off goes on."""
    with failures():
        result = pull_image(session(), image, platform, quiet=quiet, auth=_credentials(creds))
        if result is None:
            fail("the runtime ended the transfer without a result")
        if not quiet:
            click.echo(f"Digest: {result.digest}", err=True)
        click.echo(result.name)


@click.command(short_help="Send an image to a registry")
@click.argument("image")
@click.option("-q", "--quiet", is_flag=True)
@click.option("--creds", default="", metavar="USER:PASSWORD|-", help="Else Docker's configuration files; - asks.")
def push(image: str, quiet: bool, creds: str) -> None:
    """Upload IMAGE to the registry its name says."""
    with failures():
        request = images_pb2.PushRequest(image=image, auth=_credentials(creds))
        with Transfer(quiet=quiet) as shown:
            for message in session().images.Push(request):
                shown.take(message)
                if message.HasField("result"):
                    click.echo(f"{message.result.name}: digest: {message.result.digest}")


def _credentials(text: str) -> Any:
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


@click.command(short_help="Give an image another name")
@click.argument("image")
@click.argument("name")
def tag(image: str, name: str) -> None:
    """NAME, with its tag, stands for IMAGE from now on."""
    with failures():
        session().images.Tag(images_pb2.TagRequest(image=image, name=name), timeout=QUICK_S)


@click.command(short_help="Remove images")
@click.argument("images", nargs=-1, required=True)
def rmi(images: tuple[str, ...]) -> None:
    """Take names away; an image goes with its last one. One that a container uses stays."""
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


@click.command(short_help="Import images from an archive")
@click.option("-i", "--input", "source", type=click.Path(exists=True, dir_okay=False), help="Default: standard input.")
@click.option("-q", "--quiet", is_flag=True)
def load(source: str | None, quiet: bool) -> None:
    """Read a docker-archive or an OCI layout, compressed or not."""
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


@click.command(short_help="Write images to an archive")
@click.argument("images", nargs=-1, required=True)
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Default: standard output.")
@click.option("--format", "form", type=click.Choice(["docker-archive", "oci-archive"]), default="docker-archive")
def save(images: tuple[str, ...], target: Path | None, form: str) -> None:
    """Write all IMAGES to one archive."""
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


@click.command(short_help="Remove what is not used")
@click.option("-a", "--all", "everything", is_flag=True, help="Every image without a container.")
@click.option("-f", "--force", is_flag=True, help="Don't ask.")
def prune(everything: bool, force: bool) -> None:
    """Remove containers of ``run`` that have ended, images without a name, and rubbish."""
    from knarr_runtime.cli.configs import STANDALONE

    with failures():
        connected = session()
        what = "every image that no container uses" if everything else "all images without a name"
        if not force:
            question = f"This removes all containers that have ended, and {what}. Go on?"
            click.confirm(question, abort=True, err=True)
        for container in connected.list_containers():
            if container.state == cri.CONTAINER_EXITED and STANDALONE in container.labels:
                remove(connected, container)
                click.echo(f"Deleted container: {short(container.id)}")
        answer = connected.images.Prune(images_pb2.PruneRequest(all=everything), timeout=QUICK_S)
        for name in answer.images:
            click.echo(f"Deleted image: {name}")
        click.echo(f"Total reclaimed space: {human_size(answer.freed_bytes)}")
