"""``replace`` and ``delete``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import click

from knarr_api.errors import Conflict, Forbidden, Invalid, NotFound
from knarr_api.kinds import Kind
from knarr_cli import output, sending
from knarr_cli.cells import at
from knarr_cli.gone import deleted, until_gone
from knarr_cli.manifests import Manifest
from knarr_cli.options import (
    DRY_RUN,
    Manner,
    all_namespaces_option,
    dry_run_option,
    everything_option,
    field_selector_option,
    files_option,
    manner_options,
    namespace_option,
    recursive_option,
    selector_option,
    validate_option,
)
from knarr_cli.refusal import explain
from knarr_cli.selecting import resources_argument
from knarr_cli.sending import VALIDATIONS
from knarr_cli.session import chosen_one_way, seconds, session, targets
from knarr_cli.verb import Verb
from knarr_client.client import Propagation
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer


@click.command(
    cls=Verb,
    name="replace",
    epilog="""\b
Examples:
  knarr replace -f web.yaml
  knarr get deployment web -o yaml | sed 's/web:1/web:2/' | knarr replace -f -
  knarr replace --force -f pod.yaml     # delete it first, and make it anew""",
)
@files_option
@recursive_option
@namespace_option
@click.option("--force", is_flag=True, help="Delete it, at once, and create it again.")
@click.option("--subresource", type=click.Choice(["status", "scale"]), help="Only this of it.")
@validate_option
@manner_options("knarr-replace")
@click.pass_context
def replace_command(
    ctx: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    force: bool,
    subresource: str | None,
    validate: str,
    manner: Manner,
) -> None:
    """Put other objects in the place of those of the same names.

    With a resourceVersion in it a manifest replaces only what is still that.
    """

    async def send(client: GrpcClient, manifest: Manifest, space: str) -> tuple[str, Answer]:
        if manner.only_said:
            await client.raw.get(manifest.kind, manifest.name, space)
            return "replaced", Answer(object=manifest.document)
        if force and manner.in_earnest:
            await _remove(client, manifest, space)
            return "replaced", await client.raw.create(
                manifest.document, namespace=space, field_manager=manner.manager, validation=VALIDATIONS[validate]
            )
        return "replaced", await client.raw.update(
            manifest.document,
            namespace=space,
            subresource=subresource or "",
            field_manager=manner.manager,
            validation=VALIDATIONS[validate],
            dry_run=manner.tried,
        )

    found = sending.read(ctx, files, recursive=recursive, validate=validate)
    sending.send(ctx, found, namespace, send, dry_run=manner.dry_run, form=manner.form)


async def _remove(client: GrpcClient, manifest: Manifest, space: str) -> None:
    try:
        answer = await client.raw.delete(manifest.kind, manifest.name, space, grace_period_s=0)
    except NotFound:
        return
    output.write(deleted(manifest.kind, manifest.name, space, "deleted", ""))
    await until_gone(client, manifest.kind, manifest.name, space, at(answer.object, "metadata.uid"))


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
@resources_argument("[KIND NAME… | KIND/NAME…]")
@files_option
@recursive_option
@namespace_option
@all_namespaces_option
@selector_option
@field_selector_option
@everything_option
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
@dry_run_option
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
    field_selector: str,
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
    grace_s = _grace_s(grace_period, at_once=at_once, force=force)
    space = own.namespace(namespace)
    named: list[Doomed] = []
    if files:
        for manifest in reversed(sending.read(ctx, files, recursive=recursive)):
            named.append(Doomed(kind=manifest.kind, name=manifest.name, namespace=manifest.namespace or space))
    elif not resources:
        raise click.UsageError("give KIND NAME, KIND/NAME or -f FILE", ctx)
    deletion = Deletion(
        grace_s=grace_s,
        propagation=Propagation(cascade.capitalize()),
        word="force deleted" if force else "deleted",
        ignore_not_found=ignore_not_found,
        dry_run=dry_run,
        form=form,
    )

    async def work(client: GrpcClient) -> None:
        doomed = list(named)
        wanted = targets(resources) if resources else []
        by_label = bool(selector or field_selector) or everything
        chosen_one_way(wanted, by_label=by_label, all_namespaces=all_namespaces)
        for kind, name in wanted:
            if name:
                doomed.append(Doomed(kind=kind, name=name, namespace=space))
            elif by_label:
                where = "" if all_namespaces or not kind.namespaced else space
                doomed += await _listed(client, kind, where, selector, field_selector)
            else:
                raise Invalid("resource(s) were provided, but no name was specified: give names, -l or --all")
        if not doomed:
            sys.stderr.write("No resources found\n")
        for one in doomed:
            await deletion.delete(client, one)
        if wait:
            async with asyncio.timeout(seconds(timeout) if timeout else None):
                await asyncio.gather(*(until_gone(client, *each) for each in deletion.going))

    try:
        own.run(work)
    except TimeoutError:
        sys.stderr.write("error: timed out waiting for the objects to go\n")
        raise SystemExit(1) from None
    if deletion.failed:
        raise SystemExit(1)


def _grace_s(grace_period: int, *, at_once: bool, force: bool) -> int | None:
    """What the options say; None is the object's own. Raises Invalid."""
    if at_once and grace_period >= 0:
        raise Invalid("--now and --grace-period cannot be specified together")
    if force:
        sys.stderr.write(
            "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. "
            "The resource may continue to run on the cluster indefinitely.\n"
        )
        return 0
    if at_once or grace_period == 0:
        return 1  # as with kubectl: what is to go unseen by its node takes --force
    return grace_period if grace_period > 0 else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Doomed:
    """An object to delete. listed: it was there a moment ago, so it is no error when it is not."""

    kind: Kind
    name: str
    namespace: str
    listed: bool = False


async def _listed(
    client: GrpcClient, kind: Kind, namespace: str, selector: str, field_selector: str
) -> Iterable[Doomed]:
    page = await client.raw.list(kind, namespace, label_selector=selector, field_selector=field_selector)
    return [
        Doomed(kind=kind, name=at(item, "metadata.name"), namespace=at(item, "metadata.namespace"), listed=True)
        for item in page.items
    ]


class Deletion:
    """Deletes objects and says so. failed: whether one was refused. going: what may still be there for a while."""

    def __init__(
        self,
        *,
        grace_s: int | None,
        propagation: Propagation,
        word: str,
        ignore_not_found: bool,
        dry_run: str,
        form: str,
    ) -> None:
        self.failed = False
        self.going: list[tuple[Kind, str, str, str]] = []
        self._grace_s = grace_s
        self._propagation = propagation
        self._word = word
        self._ignore_not_found = ignore_not_found
        self._dry_run = dry_run
        self._form = form

    async def delete(self, client: GrpcClient, one: Doomed) -> None:
        place = one.namespace if one.kind.namespaced else ""
        if self._dry_run == "client":
            output.write(deleted(one.kind, one.name, place, f"deleted{DRY_RUN[self._dry_run]}", self._form))
            return
        try:
            answer = await client.raw.delete(
                one.kind,
                one.name,
                place,
                grace_period_s=self._grace_s,
                propagation=self._propagation,
                dry_run=self._dry_run == "server",
            )
        except (NotFound, Conflict, Invalid, Forbidden) as error:
            if isinstance(error, NotFound) and (self._ignore_not_found or one.listed):
                return
            sys.stderr.write(explain(error) + "\n")
            self.failed = True
            return
        output.write(deleted(one.kind, one.name, place, f"{self._word}{DRY_RUN[self._dry_run]}", self._form))
        if self._dry_run == "none":
            self.going.append((one.kind, one.name, place, at(answer.object, "metadata.uid")))


commands: tuple[click.Command, ...] = (replace_command, delete_command)
