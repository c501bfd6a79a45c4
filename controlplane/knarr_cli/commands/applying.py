"""``apply``, and what it left behind: ``apply view-last-applied``, ``apply set-last-applied``, ``--prune``."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass

import click

from knarr_api import kinds
from knarr_api.errors import Conflict, DeadlineExceeded, Forbidden, Invalid, NotFound
from knarr_api.kinds import Kind
from knarr_api.labels import Selector
from knarr_cli import output, sending
from knarr_cli.cells import at
from knarr_cli.gone import until_gone
from knarr_cli.manifests import Manifest
from knarr_cli.options import (
    DRY_RUN,
    dry_run_option,
    files_option,
    form_option,
    gathered,
    namespace_option,
    recursive_option,
    selector_option,
    validate_option,
)
from knarr_cli.selecting import Choice, choice_options, resources_argument
from knarr_cli.sending import VALIDATIONS
from knarr_cli.session import seconds, session, shown
from knarr_cli.verb import VerbAndGroup
from knarr_client.client import PatchType, Propagation
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer, Document, Validation

SERVER_SIDE, CLIENT_SIDE = "knarr", "knarr-client-side-apply"
RECORD = "kubectl.kubernetes.io/last-applied-configuration"
PRUNED = (
    *("v1/ConfigMap", "v1/Endpoints", "v1/Namespace", "v1/PersistentVolumeClaim", "v1/PersistentVolume", "v1/Pod"),
    *("v1/ReplicationController", "v1/Secret", "v1/Service", "batch/v1/Job", "batch/v1/CronJob"),
    *("networking.k8s.io/v1/Ingress", "apps/v1/DaemonSet", "apps/v1/Deployment", "apps/v1/ReplicaSet"),
    "apps/v1/StatefulSet",
)
"""What --prune looks at where no --prune-allowlist is given: kubectl's list."""
OF_THE_OLD = frozenset({"name", "resourceVersion", "uid"})
TRIAL_LENGTH = 40
HINT = """The fields above have other managers. To take them over, apply with --force-conflicts; to leave them to these,
take them out of the manifest; to own them together, give them the value that they have."""

server_side_option = click.option("--server-side", is_flag=True, help="Let the server merge, and own the fields.")
force_option = click.option("--force-conflicts", is_flag=True, help="Take over fields that others own.")
applier_option = click.option(
    "--field-manager",
    "manager",
    default="",
    help=f"Owner of the fields that are set.  [default: {CLIENT_SIDE}; with --server-side {SERVER_SIDE}]",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recreation:
    """How an object that can't be changed is made anew. grace_s: None is the object's own."""

    wanted: bool
    grace_s: int | None
    propagation: Propagation
    timeout_s: float | None

    @classmethod
    def of_options(cls, force: bool, grace_period: int, cascade: str, timeout: str) -> Recreation:
        return cls(
            wanted=force,
            grace_s=grace_period if grace_period >= 0 else None,
            propagation=Propagation(cascade.title()),
            timeout_s=seconds(timeout) or None,
        )


recreation_options = gathered(
    "recreation",
    Recreation.of_options,
    {
        "force": click.option("--force", is_flag=True, help="Delete and make anew what can't be changed."),
        "grace_period": click.option(
            "--grace-period", type=int, default=-1, help="With --force: seconds; -1 is the pod's own."
        ),
        "cascade": click.option(
            "--cascade",
            type=click.Choice(["background", "foreground", "orphan"]),
            default="background",
            show_default=True,
            help="With --force: what becomes of the objects it owns.",
        ),
        "timeout": click.option(
            "--timeout", default="0s", help="With --force: how long to wait until it is gone; 0 is for ever."
        ),
    },
)


@click.group(
    "apply",
    cls=VerbAndGroup,
    epilog="""\b
Examples:
  knarr apply -f web.yaml
  knarr apply -f manifests/ -R
  cat web.yaml | knarr apply -f -
  knarr apply -f web.yaml --dry-run=server -o yaml
  knarr apply --server-side -f web.yaml --field-manager ci --force-conflicts
  knarr apply -f job.yaml --force                  # what can't be changed is deleted and made anew
  knarr apply -f manifests/ --prune -l app=web     # and delete what is not in them any more""",
)
@files_option
@recursive_option
@namespace_option
@selector_option
@dry_run_option
@validate_option
@server_side_option
@force_option
@recreation_options
@applier_option
@click.option("--prune", is_flag=True, help="Delete what was applied before and is in no manifest any more.")
@click.option("--prune-allowlist", multiple=True, metavar="GROUP/VERSION/KIND", help="Only these kinds.")
@click.option("--all", "everything", is_flag=True, help="With --prune: of all labels.")
@form_option
@click.pass_context
def apply_command(
    ctx: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    selector: str,
    dry_run: str,
    validate: str,
    server_side: bool,
    force_conflicts: bool,
    recreation: Recreation,
    manager: str,
    prune: bool,
    prune_allowlist: tuple[str, ...],
    everything: bool,
    form: str,
) -> None:
    """Create what is missing and change what differs from the manifests.

    All documents are checked first; if one can't be read nothing is sent. An object that the server refuses does not
    stop the others; the summary says which.
    """
    if ctx.invoked_subcommand is not None:
        return
    check_options(server_side, force_conflicts, dry_run)
    if recreation.wanted and (server_side or dry_run == "server"):
        raise Invalid(f"{'--server-side' if server_side else '--dry-run=server'} cannot be used with --force")
    if prune and not selector and not everything:
        raise Invalid(
            "all resources selected for prune without explicitly passing --all: pass --all, or a label selector"
        )
    applier = Applier(
        manager=manager,
        server_side=server_side,
        force=force_conflicts,
        dry_run=dry_run,
        validation=VALIDATIONS[validate],
        recreation=recreation,
    )
    chosen = Selector.parse(selector)
    found = [
        manifest
        for manifest in sending.read(ctx, files, recursive=recursive, validate=validate)
        if chosen.matches(at(manifest.document, "metadata.labels", {}))
    ]
    if not found and not prune:
        raise Invalid("no objects passed to apply")
    allowed = [_allowed(text) for text in prune_allowlist or PRUNED]

    async def follow(client: GrpcClient, done: list[tuple[Manifest, str]]) -> None:
        await _prune(client, allowed, done, selector, applier, form)

    sending.send(ctx, found, namespace, applier.apply, dry_run=dry_run, form=form, then=follow if prune else None)


@apply_command.command(
    "view-last-applied",
    epilog="\b\nExamples:\n  knarr apply view-last-applied deployment web\n  knarr apply view-last-applied -f web.yaml",
)
@resources_argument()
@choice_options("files", "namespace", "selector", "everything")
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="yaml or json",
)
@click.pass_context
def view_last_applied_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    choice: Choice,
    form: str,
) -> None:
    """Show what was applied last, by the record that it left in the object."""
    own = session(ctx)

    async def work(client: GrpcClient) -> None:
        for number, target in enumerate(await choice.of(resources).targets(client, own)):
            present = await client.raw.get(target.kind, target.name, target.namespace)
            record = at(present, "metadata.annotations", {}).get(RECORD)
            if not record:
                raise Invalid(f"no last-applied-configuration annotation found on resource: {target.name}")
            if number and form == "yaml":
                output.write("---")
            output.document(form, json.loads(record), managed=True)

    own.run(work)


@apply_command.command(
    "set-last-applied", epilog="\b\nExamples:\n  knarr apply set-last-applied -f web.yaml --create-annotation"
)
@files_option
@namespace_option
@click.option("--create-annotation", is_flag=True, help="Also where there is no such record yet.")
@dry_run_option
@click.pass_context
def set_last_applied_command(
    ctx: click.Context, files: tuple[str, ...], namespace: str, create_annotation: bool, dry_run: str
) -> None:
    """Make the record of what was applied last say what the manifests say; nothing else changes."""

    async def one(client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        present = await client.raw.get(manifest.kind, manifest.name, space)
        if RECORD not in at(present, "metadata.annotations", {}) and not create_annotation:
            raise Invalid(
                f"no last-applied-configuration annotation found on resource: {manifest.name}, to create the "
                "annotation, run the command with --create-annotation"
            )
        text = json.dumps(manifest.document, separators=(",", ":")) + "\n"
        if dry_run == "client":
            return "configured", Answer(object=present)
        patch = {"metadata": {"annotations": {RECORD: text}}}
        return "configured", await client.raw.patch(
            manifest.kind,
            manifest.name,
            space,
            patch=patch,
            field_manager=CLIENT_SIDE,
            dry_run=dry_run == "server",
        )

    sending.send(ctx, sending.read(ctx, files, recursive=False), namespace, one, dry_run=dry_run)


def check_options(server_side: bool, force: bool, dry_run: str) -> None:
    if force and not server_side:
        raise Invalid("--force-conflicts only works with --server-side")
    if server_side and dry_run == "client":
        raise Invalid("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")


class Applier:
    """Applies one manifest, in the way that the options ask for. manager: "" is the way's own."""

    def __init__(
        self,
        *,
        manager: str,
        server_side: bool,
        force: bool,
        dry_run: str,
        validation: Validation,
        recreation: Recreation | None = None,
    ) -> None:
        self.manager = manager or (SERVER_SIDE if server_side else CLIENT_SIDE)
        self.dry_run = dry_run
        self._server_side = server_side
        self._force = force
        self._validation = validation
        self._recreation = recreation

    async def apply(self, client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        """Raises what the API answers; conflicts come with the ways out."""
        if self.dry_run == "client":
            return await self._only_said(client, manifest, space)
        if not self._server_side:
            try:
                return await self._merged(client, manifest, space)
            except (Conflict, Invalid):
                if self._recreation is None or not self._recreation.wanted:
                    raise
                await self._remove(client, manifest, space, self._recreation)
                return "configured", (await self._merged(client, manifest, space))[1]
        if not at(manifest.document, "metadata.name"):
            raise Invalid("metadata.name: Required value: apply needs a name")
        try:
            answer = await client.raw.patch(
                manifest.kind,
                manifest.name,
                space,
                patch=manifest.document,
                type_=PatchType.APPLY,
                field_manager=self.manager,
                force=self._force,
                validation=self._validation,
                dry_run=self.dry_run == "server",
            )
        except Conflict as error:
            raise Conflict(f"{error.message}\n{HINT}", details=error.details) from error.__cause__
        return "serverside-applied", answer

    async def _merged(self, client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        answer = await client.raw.apply(
            manifest.document,
            namespace=space,
            field_manager=self.manager,
            validation=self._validation,
            dry_run=self.dry_run == "server",
        )
        return (answer.outcome.value if answer.outcome is not None else "configured"), answer

    async def _remove(self, client: GrpcClient, manifest: Manifest, space: str, how: Recreation) -> None:
        """What is in the way of the manifest. Raises Invalid, and removes nothing, where it could not be made anew."""
        metadata = {name: value for name, value in manifest.document["metadata"].items() if name not in OF_THE_OLD}
        trial = {**manifest.document, "metadata": {**metadata, "generateName": f"{manifest.name[:TRIAL_LENGTH]}-"}}
        try:
            await client.raw.create(trial, namespace=space, validation=self._validation, dry_run=True)
        except Forbidden:
            pass  # what goes may be what leaves no room
        answer = await client.raw.delete(
            manifest.kind, manifest.name, space, grace_period_s=how.grace_s, propagation=how.propagation
        )
        try:
            async with asyncio.timeout(how.timeout_s):
                await until_gone(client, manifest.kind, manifest.name, space, at(answer.object, "metadata.uid"))
        except TimeoutError:
            raise DeadlineExceeded(
                f'{manifest.kind.qualified} "{manifest.name}" was not gone within {how.timeout_s:g} s: apply it again '
                "when it is"
            ) from None

    async def _only_said(self, client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        try:
            await client.raw.get(manifest.kind, manifest.name, space)
        except NotFound:
            return "created", Answer(object=manifest.document)
        return "configured", Answer(object=manifest.document)


def _allowed(text: str) -> Kind:
    """``apps/v1/Deployment``, ``v1/Pod``, ``core/v1/Pod``. Raises Invalid, NotFound."""
    group_version, _, kind = text.removeprefix("core/").rpartition("/")
    if not group_version:
        raise Invalid(f'--prune-allowlist "{text}": must be GROUP/VERSION/KIND')
    return kinds.by_kind(group_version, kind)


async def _prune(
    client: GrpcClient,
    allowed: list[Kind],
    done: list[tuple[Manifest, str]],
    selector: str,
    applier: Applier,
    form: str,
) -> None:
    """Delete what the same manager applied to the same namespaces, and is not among what was applied now."""
    kept = {(manifest.kind.kind, manifest.kind.group, space, manifest.name) for manifest, space in done}
    spaces = sorted({space for _, space in done if space})
    for kind in allowed:
        for space in spaces if kind.namespaced else [""]:
            page = await client.raw.list(kind, space, label_selector=selector)
            for item in page.items:
                name = at(item, "metadata.name")
                if (kind.kind, kind.group, space, name) in kept or not was_applied(item, applier.manager):
                    continue
                if applier.dry_run != "client":
                    await client.raw.delete(
                        kind, name, space, uid=at(item, "metadata.uid"), dry_run=applier.dry_run == "server"
                    )
                if form in ("", "name"):
                    word = "" if form else f" pruned{DRY_RUN[applier.dry_run]}"
                    output.write(f"{shown(kind, name)}{word}")


def was_applied(document: Document, manager: str) -> bool:
    """Whether it was applied, and is not on its way out."""
    if at(document, "metadata.deletionTimestamp"):
        return False
    entries = at(document, "metadata.managedFields", [])
    theirs = any(entry.get("manager") == manager and entry.get("operation") == "Apply" for entry in entries)
    return theirs or RECORD in at(document, "metadata.annotations", {})


commands: tuple[click.Command, ...] = (apply_command,)
