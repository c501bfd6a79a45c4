"""Manifests sent one after the other: what is said of each, and of those that were refused."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import click

from knarr_api.errors import DeadlineExceeded, Invalid, KnarrError, Unauthenticated, Unavailable
from knarr_cli import manifests, output
from knarr_cli.cells import at
from knarr_cli.manifests import Manifest, Refused
from knarr_cli.options import DRY_RUN
from knarr_cli.refusal import explain
from knarr_cli.session import Session, session, shown, warn
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer, Validation

Send = Callable[[GrpcClient, Manifest, str], Awaitable[tuple[str, Answer]]]
"""Sends a manifest to its namespace; returns the word for what became of it."""
Then = Callable[[GrpcClient, list[tuple[Manifest, str]]], Awaitable[None]]
"""What follows when all were sent: gets those that were done, with their namespaces."""
VALIDATIONS = {
    "strict": Validation.STRICT,
    "true": Validation.STRICT,
    "warn": Validation.WARN,
    "ignore": Validation.IGNORE,
    "false": Validation.IGNORE,
}


def read(ctx: click.Context, files: tuple[str, ...], *, recursive: bool, validate: str = "strict") -> list[Manifest]:
    """Ends the command where a document can't be used."""
    if not files:
        raise click.UsageError("must specify one of -f", ctx)
    try:
        return manifests.read(files, recursive=recursive, strict=VALIDATIONS[validate] is Validation.STRICT)
    except Refused as refused:
        show_problems(refused)
        raise SystemExit(1) from None


def space_of(own: Session, manifest: Manifest, asked: str) -> str:
    """Where the object goes: its own namespace, else the one asked for. Raises Invalid where these differ."""
    if asked and manifest.namespace and manifest.namespace != asked:
        raise Invalid(
            f'the namespace from the provided object "{manifest.namespace}" does not match the namespace '
            f'"{asked}": pass --namespace={manifest.namespace}'
        )
    return (manifest.namespace or own.namespace(asked)) if manifest.kind.namespaced else ""


def send(
    ctx: click.Context,
    found: list[Manifest],
    namespace: str,
    one: Send,
    *,
    dry_run: str = "none",
    form: str = "",
    then: Then | None = None,
) -> None:
    """Send all. What the server refuses does not stop the others; exit status 1 where there was anything like that."""
    own = session(ctx)
    asked = own.asked(namespace)
    failed: list[tuple[Manifest, KnarrError]] = []
    done: list[tuple[Manifest, str]] = []
    results: list[dict[str, Any]] = []

    def show(manifest: Manifest, outcome: str, content: dict[str, Any]) -> None:
        if form == "name":
            output.document(form, content, manifest.kind)
        elif form:
            results.append(content)
        else:
            name = at(content, "metadata.name") or manifest.name
            output.write(f"{shown(manifest.kind, name)} {outcome}{DRY_RUN[dry_run]}")

    async def work(client: GrpcClient) -> None:
        for manifest in found:
            try:
                space = space_of(own, manifest, asked)
                outcome, answer = await one(client, manifest, space)
            except (Unavailable, DeadlineExceeded, Unauthenticated) as error:
                failed.append((manifest, error))
                return
            except KnarrError as error:
                failed.append((manifest, error))
                continue
            done.append((manifest, space))
            warn(answer.warnings)
            show(manifest, outcome, answer.object)
        if then is not None and not failed:
            await then(client, done)

    own.run(work)
    if len(results) == 1:
        output.document(form, results[0])
    elif results:
        output.document(form, {"apiVersion": "v1", "items": results, "kind": "List", "metadata": {}})
    for manifest, error in failed:
        sys.stderr.write(_failure(manifest, error) + "\n")
    if failed:
        if len(found) > 1:
            sys.stderr.write(_summary(found, [manifest for manifest, _ in done], failed) + "\n")
        raise SystemExit(1)


def _failure(manifest: Manifest, error: KnarrError) -> str:
    """What was refused, with the places in the file of the fields concerned."""
    text = explain(error)
    details = error.details if isinstance(error, Invalid) else ()
    if not manifest.place:
        return text
    if len(details) < 2:
        place = manifest.place_of(details[0].path) if details else manifest.place
        return f"{place}: {text}"
    start, colon, _ = text.partition(": [")
    listed = [f"  {manifest.place_of(detail.path)}: {detail}" for detail in details]
    return "\n".join([f"{manifest.place}: {start}{colon[:1]}", *listed])


def _summary(found: list[Manifest], done: list[Manifest], failed: list[tuple[Manifest, KnarrError]]) -> str:
    """How many of the objects were done, and which were not."""

    def names(some: Iterable[Manifest]) -> str:
        return ", ".join(shown(manifest.kind, manifest.name) for manifest in some)

    refused = [manifest for manifest, _ in failed]
    text = f"{len(done)} of {len(found)} objects done; failed: {names(refused)}"
    unsent = [each for each in found if each not in done and each not in refused]
    return f"{text}; not tried: {names(unsent)}" if unsent else text


def show_problems(refused: Refused) -> None:
    for problem in refused.problems[:50]:
        sys.stderr.write(f"error: {problem}\n")
    more = len(refused.problems) - 50
    if more > 0:
        sys.stderr.write(f"error: and {more} more\n")
    sys.stderr.write("nothing was changed: correct the manifests and try again\n")
