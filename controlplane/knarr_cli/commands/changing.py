"""``patch``, ``label``, ``annotate`` and ``taint``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_cli import manifests, output
from knarr_cli.cells import at
from knarr_cli.manifests import Refused
from knarr_cli.options import Manner, manner_options
from knarr_cli.rollouts import CAUSE
from knarr_cli.selecting import Choice, Target, choice_options, resources_argument
from knarr_cli.session import session, shown, warn
from knarr_cli.taints import TaintChange, tainted
from knarr_cli.verb import Verb
from knarr_client.client import PatchType
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Document

Patch = dict[str, Any] | list[Any]
MakePatch = Callable[[Document], tuple[Patch, str]]
"""The patch for an object as it is, and the word for what that does."""
TYPES = {"json": PatchType.JSON, "merge": PatchType.MERGE, "strategic": PatchType.STRATEGIC}


def change(
    ctx: click.Context,
    choice: Choice,
    make: MakePatch,
    manner: Manner,
    *,
    type_: PatchType = PatchType.MERGE,
    subresource: str = "",
    quiet_without_change: bool = False,
) -> None:
    """Patch each object and say so. quiet_without_change: where nothing changes nothing is said."""
    own = session(ctx)

    async def one(client: GrpcClient, target: Target) -> None:
        present = await client.raw.get(target.kind, target.name, target.namespace)
        patch, word = make(present)
        if manner.only_said and not manner.form:
            output.write(f"{shown(target.kind, target.name)} {word}{manner.mark}")
            return
        answer = await client.raw.patch(
            target.kind,
            target.name,
            target.namespace,
            patch=patch,
            type_=type_,
            subresource=subresource,
            field_manager=manner.manager,
            dry_run=manner.only_said or manner.tried,
        )
        warn(answer.warnings)
        if manner.form:
            output.document(manner.form, answer.object, target.kind)
            return
        same = _same(present, answer.object)
        if not (same and quiet_without_change):
            unchanged = " (no change)" if same and not word.startswith("not ") else ""
            output.write(f"{shown(target.kind, target.name)} {word}{unchanged}{manner.mark}")

    async def work(client: GrpcClient) -> None:
        for target in await choice.targets(client, own):
            await one(client, target)

    own.run(work)


def _same(before: Document, after: Document) -> bool:
    """A dry run keeps the revision whatever changes: then the contents are compared."""
    return at(before, "metadata.resourceVersion") == at(after, "metadata.resourceVersion") and before == after


@click.command(
    cls=Verb,
    name="patch",
    epilog="""\b
Examples:
  knarr patch deployment web -p '{"spec":{"replicas":5}}'
  knarr patch node/n1 --type merge -p 'spec: {unschedulable: true}'
  knarr patch pod web-1 --type json -p '[{"op":"remove","path":"/metadata/labels/old"}]'
  knarr patch deployment web --patch-file change.yaml --dry-run=server -o yaml
  knarr patch deployment web --subresource scale --type merge -p '{"spec":{"replicas":2}}'""",
)
@resources_argument()
@choice_options("files", "recursive", "namespace")
@click.option("-p", "--patch", "text", default="", help="JSON or YAML.")
@click.option("--patch-file", type=click.Path(path_type=Path), help="A file with the patch instead.")
@click.option(
    "--type",
    "kind_of_patch",
    type=click.Choice(list(TYPES)),
    default="strategic",
    show_default=True,
    help="Operations of RFC 6902; RFC 7396; or as RFC 7396 with lists merged by their keys.",
)
@click.option("--subresource", default="", help="status or scale")
@manner_options("knarr-patch")
@click.pass_context
def patch_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    choice: Choice,
    text: str,
    patch_file: Path | None,
    kind_of_patch: str,
    subresource: str,
    manner: Manner,
) -> None:
    """Change fields of an object by a patch."""
    if bool(text) == (patch_file is not None):
        raise Invalid("must specify one of --patch and --patch-file")
    patch = _read_patch(text, patch_file, wants_list=kind_of_patch == "json")
    change(
        ctx,
        choice.of(resources),
        lambda _: (patch, "patched"),
        manner,
        type_=TYPES[kind_of_patch],
        subresource=subresource,
    )


def _read_patch(text: str, file: Path | None, *, wants_list: bool) -> Patch:
    name = "--patch"
    if file is not None:
        name = str(file)
        try:
            text = file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise Invalid(f"{file}: cannot be read: {error}") from error
    try:
        patch = manifests.read_value(text, name)
    except Refused as error:
        raise Invalid(f"the patch is neither JSON nor YAML: {error}") from error
    if not isinstance(patch, list if wants_list else dict):
        raise Invalid(f"the patch must be {'a list of operations' if wants_list else 'an object'}")
    return patch


def _map_command(name: str, field: str, done: str, undone: str) -> click.Command:
    """``label`` and ``annotate``."""

    @click.command(
        cls=Verb,
        name=name,
        help=f"Set or remove {field}: KEY=VALUE sets, KEY- removes.",
        epilog=f"""\b
Examples:
  knarr {name} pod web-1 tier=front
  knarr {name} node/n1 disk-
  knarr {name} pods --all zone=a --overwrite
  knarr {name} pod web-1 --list""",
    )
    @resources_argument("KIND NAME | KIND/NAME KEY=VALUE… KEY-…", name="words", required=True)
    @choice_options("files", "recursive", "namespace", "all_namespaces", "selector", "field_selector", "everything")
    @click.option("--overwrite", is_flag=True, help="Change what is set already.")
    @click.option("--resource-version", default="", help="Only if the object is still this.")
    @click.option("--list", "listing", is_flag=True, help=f"Show the {field} instead.")
    @manner_options(f"knarr-{name}")
    @click.pass_context
    def command(
        ctx: click.Context,
        words: tuple[str, ...],
        choice: Choice,
        overwrite: bool,
        resource_version: str,
        listing: bool,
        manner: Manner,
    ) -> None:
        resources = tuple(word for word in words if "=" not in word and not word.endswith("-"))
        changes = _changes(words)
        choice = replace(choice.of(resources), everything=choice.everything or choice.all_namespaces)
        if listing:
            _list(ctx, choice, field)
            return
        if not changes:
            raise Invalid(f"at least one {name} update is required: KEY=VALUE or KEY-")

        def make(present: Document) -> tuple[Patch, str]:
            have = at(present, f"metadata.{field}", {})
            taken = [key for key, value in changes.items() if value is not None and have.get(key, value) != value]
            if name == "annotate":
                taken = [key for key in taken if key != CAUSE]
            if taken and not overwrite:
                said = "; ".join(f"'{key}' already has a value ({have[key]})" for key in taken)
                if name == "annotate":
                    found = "--overwrite is false but found the following declared annotation(s): "
                    raise Invalid(f"{found}{said}")
                raise Invalid(f"{said}, and --overwrite is false")
            for key, value in changes.items():
                if value is None and key not in have:
                    output.write(f'{name} "{key}" not found.')
            metadata: dict[str, Any] = {field: changes}
            if resource_version:
                metadata["resourceVersion"] = resource_version
            only_removed = all(value is None for value in changes.values())
            nothing = all(have.get(key) == value for key, value in changes.items())
            word = f"not {done}" if nothing and name == "label" else undone if only_removed and undone else done
            return {"metadata": metadata}, word

        change(ctx, choice, make, manner)

    return command


def _changes(words: tuple[str, ...]) -> dict[str, str | None]:
    """What is set, and, with None, what is removed. Raises Invalid for what is set and removed."""
    changes: dict[str, str | None] = {}
    for word in words:
        key, equal, value = word.partition("=")
        if not equal and word.endswith("-"):
            key = word[:-1]
        elif not equal:
            continue
        wanted = value if equal else None
        if key in changes and changes[key] != wanted:
            raise Invalid(f'can not both modify and remove "{key}" in the same command')
        changes[key] = wanted
    return changes


def _list(ctx: click.Context, choice: Choice, field: str) -> None:
    own = session(ctx)

    async def work(client: GrpcClient) -> None:
        found = await choice.targets(client, own)
        for target in found:
            present = await client.raw.get(target.kind, target.name, target.namespace)
            if len(found) > 1:
                output.write(f"Listing {field} for {shown(target.kind, target.name)}:")
            for key, value in sorted(at(present, f"metadata.{field}", {}).items()):
                output.write(f"{' ' if len(found) > 1 else ''}{key}={value}")

    own.run(work)


@click.command(
    cls=Verb,
    name="taint",
    epilog="""\b
Examples:
  knarr taint nodes n1 gpu=yes:NoSchedule
  knarr taint node/n1 gpu:NoSchedule-     # remove it
  knarr taint nodes n1 gpu-               # with any effect
  knarr taint nodes -l zone=a maintenance:NoExecute --overwrite""",
)
@resources_argument("node NAME | node/NAME KEY[=VALUE]:EFFECT… KEY[:EFFECT]-…", name="words", required=True)
@choice_options("selector", "everything")
@click.option("--overwrite", is_flag=True, help="Change what is there already.")
@manner_options("knarr-taint")
@click.pass_context
def taint_command(
    ctx: click.Context,
    words: tuple[str, ...],
    choice: Choice,
    overwrite: bool,
    manner: Manner,
) -> None:
    """Keep pods away from nodes. Effects: NoSchedule, PreferNoSchedule, NoExecute."""
    resources = tuple(word for word in words if ":" not in word and "=" not in word and not word.endswith("-"))
    if not resources or kinds.lookup(resources[0].partition("/")[0]).kind != "Node":
        raise Invalid("only nodes can have taints: taint nodes NAME KEY=VALUE:EFFECT")
    wanted = TaintChange.parse(word for word in words if word not in resources)

    def make(present: Document) -> tuple[Patch, str]:
        taints, word = tainted(at(present, "metadata.name"), at(present, "spec.taints", []), wanted, overwrite)
        metadata = {"resourceVersion": at(present, "metadata.resourceVersion")}
        return {"metadata": metadata, "spec": {"taints": taints or None}}, word

    change(ctx, choice.of(resources), make, manner)


commands: tuple[click.Command, ...] = (
    patch_command,
    _map_command("label", "labels", "labeled", "unlabeled"),
    _map_command("annotate", "annotations", "annotated", ""),
    taint_command,
)
