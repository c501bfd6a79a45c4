"""``apply``, ``create``, ``delete``, ``patch``, ``label``, ``annotate``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import click

from knarr_api.errors import (
    Conflict,
    DeadlineExceeded,
    Expired,
    Forbidden,
    Invalid,
    KnarrError,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from knarr_api.kinds import Kind
from knarr_cli import completing, manifests, output
from knarr_cli.manifests import Manifest, Refused
from knarr_cli.refusal import explain
from knarr_cli.session import (
    MANAGER,
    all_namespaces_option,
    namespace_option,
    seconds,
    selector_option,
    session,
    shown,
    targets,
    warn,
)
from knarr_cli.tables import at
from knarr_cli.verb import Verb
from knarr_client.client import EventType, Propagation
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer

Send = Callable[[GrpcClient, Manifest, str], Awaitable[tuple[str, Answer]]]
files_option = click.option(
    "-f", "--filename", "files", multiple=True, metavar="FILE|DIR|-", help="May be given several times."
)
recursive_option = click.option("-R", "--recursive", is_flag=True, help="Directories with all below them.")
dry_run_option = click.option(
    "--dry-run", type=click.Choice(["none", "client", "server"]), default="none", help="Only say what would be done."
)
form_option = click.option("-o", "--output", "form", default="", help="name, json, yaml, jsonpath=…")


@click.command(
    cls=Verb,
    name="apply",
    epilog="""\b
Examples:
  knarr apply -f web.yaml
  knarr apply -f manifests/ -R
  cat web.yaml | knarr apply -f -
  knarr apply -f web.yaml --dry-run=server -o yaml""",
)
@files_option
@recursive_option
@namespace_option
@dry_run_option
@form_option
@click.pass_context
def apply_command(
    ctx: click.Context, files: tuple[str, ...], recursive: bool, namespace: str, dry_run: str, form: str
) -> None:
    """Create what is missing and change what differs from the manifests.

    All documents are checked first; if one can't be read nothing is sent. An object that the server refuses does not
    stop the others; the summary says which.
    """

    async def send(client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        answer = await client.raw.apply(
            manifest.document, namespace=space, field_manager=MANAGER, dry_run=dry_run == "server"
        )
        return (answer.outcome.value if answer.outcome is not None else "configured"), answer

    _send_all(ctx, files, recursive, namespace, dry_run, form, send)


@click.command(
    cls=Verb, name="create", epilog="\b\nExamples:\n  knarr create -f pod.yaml\n  knarr create namespace shop"
)
@click.argument("words", nargs=-1, metavar="[namespace NAME]")
@files_option
@recursive_option
@namespace_option
@dry_run_option
@form_option
@click.pass_context
def create_command(
    ctx: click.Context,
    words: tuple[str, ...],
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    dry_run: str,
    form: str,
) -> None:
    """Create objects; fails for those that exist."""

    async def send(client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        return "created", await client.raw.create(
            manifest.document, namespace=space, field_manager=MANAGER, dry_run=dry_run == "server"
        )

    if words:
        if len(words) != 2 or words[0] not in ("namespace", "ns"):
            raise click.UsageError("create -f FILE, or create namespace NAME", ctx)
        ((kind, _),) = targets(("namespace",))
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": words[1]}}
        _send_manifests(ctx, [Manifest(kind, document, "namespace")], namespace, dry_run, form, send)
        return
    _send_all(ctx, files, recursive, namespace, dry_run, form, send)


def _send_all(
    ctx: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    dry_run: str,
    form: str,
    send: Send,
) -> None:
    if not files:
        raise click.UsageError("must specify one of -f", ctx)
    try:
        found = manifests.read(files, recursive=recursive)
    except Refused as refused:
        _show_problems(refused)
        raise SystemExit(1) from None
    _send_manifests(ctx, found, namespace, dry_run, form, send)


def _send_manifests(
    ctx: click.Context, found: list[Manifest], namespace: str, dry_run: str, form: str, send: Send
) -> None:
    own = session(ctx)
    namespace = own.asked(namespace)
    failed: list[tuple[Manifest, KnarrError]] = []
    done: list[Manifest] = []
    results: list[dict[str, Any]] = []

    def show(manifest: Manifest, outcome: str, content: dict[str, Any]) -> None:
        if form == "name":
            output.document(form, content, manifest.kind)
        elif form:
            results.append(content)
        else:
            name = at(content, "metadata.name") or manifest.name
            output.write(f"{shown(manifest.kind, name)} {outcome}")

    async def work(client: GrpcClient) -> None:
        for manifest in found:
            if namespace and manifest.namespace and manifest.namespace != namespace:
                error = Invalid(
                    f'the namespace from the provided object "{manifest.namespace}" does not match the namespace '
                    f'"{namespace}": pass --namespace={manifest.namespace}'
                )
                failed.append((manifest, error))
                continue
            space = (manifest.namespace or own.namespace(namespace)) if manifest.kind.namespaced else ""
            if dry_run == "client":
                done.append(manifest)
                show(manifest, "created (dry run)", manifest.document)
                continue
            try:
                outcome, answer = await send(client, manifest, space)
            except (Unavailable, DeadlineExceeded, Unauthenticated) as error:
                failed.append((manifest, error))
                return
            except KnarrError as error:
                failed.append((manifest, error))
                continue
            done.append(manifest)
            warn(answer.warnings)
            suffix = " (server dry run)" if dry_run == "server" else ""
            show(manifest, outcome + suffix, answer.object)

    own.run(work)
    if len(results) == 1:
        output.document(form, results[0])
    elif results:
        output.document(form, {"apiVersion": "v1", "items": results, "kind": "List", "metadata": {}})
    for manifest, error in failed:
        sys.stderr.write(_failure(manifest, error) + "\n")
    if failed:
        if len(found) > 1:
            sys.stderr.write(_summary(found, done, failed) + "\n")
        raise SystemExit(1)


def _failure(manifest: Manifest, error: KnarrError) -> str:
    """What was refused, with the places in the file of the fields concerned."""
    text = explain(error)
    details = error.details if isinstance(error, Invalid) else ()
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


def _show_problems(refused: Refused) -> None:
    for problem in refused.problems[:50]:
        sys.stderr.write(f"error: {problem}\n")
    more = len(refused.problems) - 50
    if more > 0:
        sys.stderr.write(f"error: and {more} more\n")
    sys.stderr.write("nothing was changed: correct the manifests and try again\n")


@click.command(
    cls=Verb,
    name="delete",
    epilog="""\b
Examples:
  knarr delete -f web.yaml
  knarr delete deployment web
  knarr delete pods -l app=web --grace-period 5
  knarr delete pod/web-1 --force""",
)
@click.argument("resources", nargs=-1, metavar="[KIND NAME… | KIND/NAME…]", shell_complete=completing.resources)
@files_option
@recursive_option
@namespace_option
@all_namespaces_option
@selector_option
@click.option("--all", "everything", is_flag=True, help="All of the kind.")
@click.option("--grace-period", type=int, default=-1, help="Seconds; -1 is the pod's own.")
@click.option("--now", "at_once", is_flag=True, help="The same as --grace-period=1.")
@click.option("--force", is_flag=True, help="Remove at once, without waiting for the node.")
@click.option(
    "--cascade",
    type=click.Choice(["background", "foreground", "orphan"]),
    default="background",
    show_default=True,
    help="What becomes of what it owns.",
)
@click.option("--wait/--no-wait", default=True, help="Wait until they are gone.  [default: wait]")
@click.option("--timeout", default="", metavar="DURATION", help="Of the wait.  [default: none]")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no error.")
@click.option("--dry-run", type=click.Choice(["none", "client", "server"]), default="none", help="Only say it.")
@click.option("-o", "--output", "form", type=click.Choice(["", "name"]), default="", help="name")
@click.pass_context
def delete_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    all_namespaces: bool,
    selector: str,
    everything: bool,
    grace_period: int,
    at_once: bool,
    force: bool,
    cascade: str,
    wait: bool,
    timeout: str,
    ignore_not_found: bool,
    dry_run: str,
    form: str,
) -> None:
    """Delete objects, by name, by file or by selector."""
    own = session(ctx)
    grace = 0 if force else 1 if at_once else grace_period if grace_period >= 0 else None
    space = own.namespace(namespace)
    wanted: list[tuple[Kind, str, str]] = []
    if files:
        try:
            for manifest in reversed(manifests.read(files, recursive=recursive)):
                wanted.append((manifest.kind, manifest.name, manifest.namespace or space))
        except Refused as refused:
            _show_problems(refused)
            raise SystemExit(1) from None
    elif not resources:
        raise click.UsageError("give KIND NAME, KIND/NAME or -f FILE", ctx)
    failed = False

    async def work(client: GrpcClient) -> None:
        nonlocal failed
        names = list(wanted)
        found: set[tuple[Kind, str, str]] = set()
        for kind, name in targets(resources) if resources else []:
            if name:
                names.append((kind, name, space))
            elif selector or everything:
                page = await client.raw.list(
                    kind, "" if all_namespaces or not kind.namespaced else space, label_selector=selector
                )
                if not page.items:
                    sys.stderr.write("No resources found\n")
                listed = [(kind, at(i, "metadata.name"), at(i, "metadata.namespace")) for i in page.items]
                found.update(listed)
                names += listed
            else:
                raise Invalid("resource(s) were provided, but no name was specified: give names, -l or --all")
        gone: list[tuple[Kind, str, str, str]] = []
        for kind, name, place in names:
            inner = place if kind.namespaced else ""
            if dry_run == "client":
                output.write(_deleted(kind, name, inner, "deleted (dry run)", form))
                continue
            try:
                answer = await client.raw.delete(
                    kind,
                    name,
                    inner,
                    grace_period_s=grace,
                    propagation=Propagation(cascade.capitalize()),
                    dry_run=dry_run == "server",
                )
            except NotFound as error:
                if not ignore_not_found and (kind, name, place) not in found:
                    sys.stderr.write(explain(error) + "\n")
                    failed = True
                continue
            except (Conflict, Invalid, Forbidden) as error:
                sys.stderr.write(explain(error) + "\n")
                failed = True
                continue
            word = "force deleted" if force else "deleted"
            if dry_run == "server":
                output.write(_deleted(kind, name, inner, f"{word} (server dry run)", form))
                continue
            output.write(_deleted(kind, name, inner, word, form))
            gone.append((kind, name, inner, at(answer.object, "metadata.uid")))
        if wait:
            async with asyncio.timeout(seconds(timeout) if timeout else None):
                await asyncio.gather(*(until_gone(client, *each) for each in gone))

    try:
        own.run(work)
    except TimeoutError:
        sys.stderr.write("error: timed out waiting for the objects to go\n")
        raise SystemExit(1) from None
    if failed:
        raise SystemExit(1)


def _deleted(kind: Kind, name: str, namespace: str, word: str, form: str) -> str:
    if form == "name":
        return shown(kind, name)
    singular = f"{kind.singular}.{kind.group}" if kind.group else kind.singular
    return f'{singular} "{name}" {word}' + (f" from {namespace} namespace" if namespace else "")


async def until_gone(client: GrpcClient, kind: Kind, name: str, namespace: str, uid: str) -> None:
    """Returns when the object of that uid is not there any more."""
    while True:
        try:
            present = await client.raw.get(kind, name, namespace)
        except NotFound:
            return
        if uid and at(present, "metadata.uid") != uid:
            return
        try:
            watching = client.raw.watch(
                kind,
                namespace,
                field_selector=f"metadata.name={name}",
                resource_version=at(present, "metadata.resourceVersion"),
            )
            async for batch in watching:
                if any(event.type is EventType.DELETED for event in batch):
                    return
        except (Expired, Unavailable):
            await asyncio.sleep(0.2)


@click.command(
    cls=Verb,
    name="patch",
    epilog="""\b
Examples:
  knarr patch deployment web -p '{"spec":{"replicas":5}}'
  knarr patch node/n1 --type merge -p 'spec: {unschedulable: true}'""",
)
@click.argument(
    "resources", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME", shell_complete=completing.resources
)
@namespace_option
@click.option("-p", "--patch", "text", required=True, help="JSON or YAML.")
@click.option(
    "--type", "kind_of_patch", type=click.Choice(["merge"]), default="merge", show_default=True, help="RFC 7396."
)
@click.option("--subresource", default="", help="status")
@form_option
@click.pass_context
def patch_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    namespace: str,
    text: str,
    kind_of_patch: str,
    subresource: str,
    form: str,
) -> None:
    """Change fields of an object by a JSON merge patch."""
    try:
        patch = manifests.read_value(text, "--patch")
    except Refused as error:
        raise Invalid(f"the patch is neither JSON nor YAML: {error}") from error
    if not isinstance(patch, dict):
        raise Invalid("the patch must be an object")
    _patch_each(ctx, resources, namespace, lambda _: patch, "patched", form, subresource=subresource)


def _set_command(name: str, field: str, done: str) -> click.Command:
    @click.command(
        cls=Verb,
        name=name,
        help=f"Set or remove {field}: KEY=VALUE sets, KEY- removes.",
        epilog=f"""\b
Examples:
  knarr {name} pod web-1 tier=front
  knarr {name} node/n1 disk-
  knarr {name} nodes --all zone=a""",
    )
    @click.argument(
        "words",
        nargs=-1,
        required=True,
        metavar="KIND NAME | KIND/NAME KEY=VALUE… KEY-…",
        shell_complete=completing.resources,
    )
    @namespace_option
    @selector_option
    @click.option("--all", "everything", is_flag=True, help="All of the kind.")
    @click.option("--overwrite", is_flag=True, help="Change what is set already.")
    @form_option
    @click.pass_context
    def command(
        ctx: click.Context,
        words: tuple[str, ...],
        namespace: str,
        selector: str,
        everything: bool,
        overwrite: bool,
        form: str,
    ) -> None:
        resources = tuple(word for word in words if "=" not in word and not word.endswith("-"))
        changes: dict[str, str | None] = {}
        for word in words:
            if "=" in word:
                key, _, value = word.partition("=")
                changes[key] = value
            elif word.endswith("-"):
                changes[word[:-1]] = None
        if not changes:
            raise Invalid(f"at least one {name} update is required: KEY=VALUE or KEY-")

        def patch(present: dict[str, Any]) -> dict[str, Any]:
            have = at(present, f"metadata.{field}", {})
            taken = [k for k, v in changes.items() if v is not None and have.get(k, v) != v]
            if taken and not overwrite:
                raise Invalid(f"'{taken[0]}' already has a value ({have[taken[0]]}), and --overwrite is false")
            return {"metadata": {field: changes}}

        _patch_each(ctx, resources, namespace, patch, done, form, selector=selector, everything=everything)

    return command


def _patch_each(
    ctx: click.Context,
    resources: tuple[str, ...],
    namespace: str,
    patch: Callable[[dict[str, Any]], dict[str, Any]],
    done: str,
    form: str,
    *,
    subresource: str = "",
    selector: str = "",
    everything: bool = False,
) -> None:
    own = session(ctx)
    space = own.namespace(namespace)
    wanted = targets(resources)
    chosen = bool(selector) or everything
    if chosen and any(name for _, name in wanted):
        raise Invalid("name the objects, or choose them with -l or --all, not both")
    if not chosen and not all(name for _, name in wanted):
        raise Invalid("name the object: KIND NAME or KIND/NAME")

    async def work(client: GrpcClient) -> None:
        names: list[tuple[Kind, str]] = []
        for kind, name in wanted:
            if name:
                names.append((kind, name))
                continue
            page = await client.raw.list(kind, space if kind.namespaced else "", label_selector=selector)
            names += [(kind, at(item, "metadata.name")) for item in page.items]
        if not names:
            sys.stderr.write("No resources found\n")
        for kind, name in names:
            place = space if kind.namespaced else ""
            present = await client.raw.get(kind, name, place)
            answer = await client.raw.patch(
                kind, name, place, patch=patch(dict(present)), subresource=subresource, field_manager=MANAGER
            )
            warn(answer.warnings)
            if form:
                output.document(form, answer.object, kind)
                continue
            same = at(present, "metadata.resourceVersion") == at(answer.object, "metadata.resourceVersion")
            output.write(f"{shown(kind, name)} {done}{' (no change)' if same else ''}")

    own.run(work)


commands: tuple[click.Command, ...] = (
    apply_command,
    create_command,
    delete_command,
    patch_command,
    _set_command("label", "labels", "labeled"),
    _set_command("annotate", "annotations", "annotated"),
)
