"""``diff``: what applying would change."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import click

from knarr_api.errors import KnarrError, NotFound
from knarr_api.kinds import Kind
from knarr_api.labels import Selector
from knarr_cli import output, sending
from knarr_cli.cells import at
from knarr_cli.commands.applying import RECORD, Applier, applier_option, check_options, force_option, server_side_option
from knarr_cli.manifests import Manifest
from knarr_cli.options import files_option, namespace_option, recursive_option, selector_option
from knarr_cli.refusal import explain
from knarr_cli.session import session
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer, Document, Validation


@click.command(
    cls=Verb,
    name="diff",
    epilog="""\b
Examples:
  knarr diff -f web.yaml
  cat web.yaml | knarr diff -f -
  knarr diff -f manifests/ -R --server-side --force-conflicts""",
)
@files_option
@recursive_option
@namespace_option
@selector_option
@server_side_option
@force_option
@applier_option
@click.option("--show-managed-fields", is_flag=True, help="Also who owns which field.")
@click.pass_context
def diff_command(
    ctx: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    selector: str,
    server_side: bool,
    force_conflicts: bool,
    manager: str,
    show_managed_fields: bool,
) -> None:
    """Show what applying the manifests would change. Exit status 0: nothing; 1: something; more: an error."""
    check_options(server_side, force_conflicts, "server")
    applier = Applier(
        manager=manager,
        server_side=server_side,
        force=force_conflicts,
        dry_run="server",
        validation=Validation.STRICT,
    )
    own = session(ctx)
    chosen = Selector.parse(selector)
    differs = False

    async def work(client: GrpcClient) -> None:
        nonlocal differs
        for manifest in sending.read(ctx, files, recursive=recursive):
            if not chosen.matches(at(manifest.document, "metadata.labels", {})):
                continue
            space = sending.space_of(own, manifest, own.asked(namespace))
            live, merged = await _both(client, manifest, space, applier.apply)
            lines = list(difference(manifest.kind, live, merged, managed=show_managed_fields))
            differs = differs or bool(lines)
            for line in lines:
                output.write(line)

    _exiting_with_2(lambda: own.run(work))
    if differs:
        raise SystemExit(1)


def _exiting_with_2(work: Callable[[], None]) -> None:
    """An error must not look like a difference."""
    try:
        work()
    except KnarrError as error:
        sys.stderr.write(explain(error) + "\n")
        raise SystemExit(2) from None
    except SystemExit as ended:
        raise SystemExit(2 if ended.code == 1 else ended.code) from None


async def _both(
    client: GrpcClient,
    manifest: Manifest,
    space: str,
    apply: Callable[[GrpcClient, Manifest, str], Awaitable[tuple[str, Answer]]],
) -> tuple[Document | None, Document]:
    try:
        live: Document | None = await client.raw.get(manifest.kind, manifest.name, space)
    except NotFound:
        live = None
    return live, (await apply(client, manifest, space))[1].object


def difference(kind: Kind, live: Document | None, merged: Document, *, managed: bool = False) -> Iterable[str]:
    """Unified, by lines of YAML; nothing where they are the same. Secrets show that they change, not what to. Pure."""
    live, merged = (_shown(live, managed) if live is not None else None), _shown(merged, managed)
    if live is None:
        merged.get("metadata", {}).pop("uid", None)
    if kind.kind == "Secret":
        live, merged = masked(live, merged)
    before, after = (output.as_yaml(one, sort_keys=True).splitlines() if one else [] for one in (live, merged))
    metadata = merged["metadata"]
    group = f"{kind.group}." if kind.group else ""
    name = f"{group}{kind.version}.{kind.kind}.{metadata.get('namespace', '')}.{metadata['name']}"
    lines = list(difflib.unified_diff(before, after, f"LIVE/{name}", f"MERGED/{name}", lineterm=""))
    return [f"diff -u -N LIVE/{name} MERGED/{name}", *lines] if lines else []


def _shown(document: Document, managed: bool) -> dict[str, Any]:
    metadata = dict(document.get("metadata") or {})
    metadata.pop("resourceVersion", None)
    if not managed:
        metadata.pop("managedFields", None)
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != RECORD}
    if annotations:
        metadata["annotations"] = annotations
    else:
        metadata.pop("annotations", None)
    return {**document, "metadata": metadata}


def masked(live: Document | None, merged: Document) -> tuple[Document | None, Document]:
    """Secrets without their values, but so that a change can be seen. Pure."""
    old, new = (live or {}).get("data") or {}, merged.get("data") or {}
    hidden_old, hidden_new = {}, {}
    for name in {**old, **new}:
        changed = name in old and name in new and old[name] != new[name]
        if name in old:
            hidden_old[name] = "*** (before)" if changed else "***"
        if name in new:
            hidden_new[name] = "*** (after)" if changed else "***"
    return (None if live is None else {**live, "data": hidden_old}), {**merged, "data": hidden_new}


commands: tuple[click.Command, ...] = (diff_command,)
