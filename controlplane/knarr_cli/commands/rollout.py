"""``rollout``: follow, undo, restart, pause and resume rollouts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid, NotFound
from knarr_api.kinds import Kind
from knarr_cli import output, rollouts
from knarr_cli.cells import at
from knarr_cli.commands.workloads import timed, until
from knarr_cli.options import (
    DRY_RUN,
    dry_run_option,
    form_option,
    manager_option,
    namespace_option,
)
from knarr_cli.selecting import Choice, choice_options, resources_argument
from knarr_cli.session import one_target, seconds, session, shown
from knarr_cli.verb import VerbGroup
from knarr_client.grpc import GrpcClient

REPLICA_SET = kinds.by_kind("apps/v1", "ReplicaSet")
CONTROLLER_REVISION = kinds.by_kind("apps/v1", "ControllerRevision")
ROLLOUT = "knarr-rollout"
RESTARTED = "kubectl.kubernetes.io/restartedAt"


@click.group("rollout", cls=VerbGroup)
def rollout_group() -> None:
    """Follow, undo, restart, pause or resume the rollout of a deployment, daemonset or statefulset."""


@rollout_group.command(
    "status",
    epilog="\b\nExamples:\n  knarr rollout status deployment/web\n  knarr rollout status deploy web --timeout 1m",
)
@resources_argument(required=True)
@namespace_option
@click.option("-w", "--watch/--no-watch", default=True, help="Until it is done.  [default: watch]")
@click.option("--revision", type=click.IntRange(min=0), default=0, help="Only while it is this one that rolls out.")
@click.option("--timeout", default="", metavar="DURATION", help="[default: none]")
@click.pass_context
def status_command(
    ctx: click.Context, resources: tuple[str, ...], namespace: str, watch: bool, revision: int, timeout: str
) -> None:
    """Show how far a rollout is, until it is done; exit status 1 when it has failed."""
    own = session(ctx)
    space = own.namespace(namespace)
    kind, name = one_target(resources)
    rollouts.check(kind)
    said = ""

    def done(document: dict[str, Any] | None) -> bool:
        nonlocal said
        if document is None:
            raise NotFound(f'{kind.qualified} "{name}" not found')
        rollouts.check_revision(document, revision)
        finished, text = rollouts.state(kind, document)
        if text != said:
            output.write(text)
            sys.stdout.flush()
            said = text
        return finished or not watch

    async def work(client: GrpcClient) -> None:
        async with asyncio.timeout(seconds(timeout) if timeout else None):
            await until(client, kind, name, space, done)

    timed(own.run, work, f"timed out waiting for the rollout of {shown(kind, name)}")


@rollout_group.command("history", epilog="\b\nExamples:\n  knarr rollout history deployment/web --revision 2")
@resources_argument(required=True)
@namespace_option
@click.option("--revision", type=int, default=0, help="Show this one in detail.")
@click.pass_context
def history_command(ctx: click.Context, resources: tuple[str, ...], namespace: str, revision: int) -> None:
    """Show the revisions there are to go back to."""
    own = session(ctx)
    space = own.namespace(namespace)
    kind, name = one_target(resources)

    async def work(client: GrpcClient) -> None:
        found = await _revisions(client, kind, name, space)
        if revision:
            if revision not in found:
                raise NotFound(f"unable to find the specified revision {revision} of {shown(kind, name)}")
            output.write(f"{shown(kind, name)} with revision #{revision}")
            output.document("yaml", rollouts.template(found[revision]))
            return
        output.write(f"{shown(kind, name)}")
        rows = [[str(number), rollouts.cause(each) or "<none>"] for number, each in sorted(found.items())]
        output.table(["REVISION", "CHANGE-CAUSE"], rows)

    own.run(work)


@rollout_group.command(
    "undo", epilog="\b\nExamples:\n  knarr rollout undo deployment/web\n  knarr rollout undo deploy/web --to-revision 3"
)
@resources_argument(required=True)
@namespace_option
@click.option("--to-revision", type=int, default=0, help="Default: the one before.")
@dry_run_option
@click.pass_context
def undo_command(
    ctx: click.Context, resources: tuple[str, ...], namespace: str, to_revision: int, dry_run: str
) -> None:
    """Go back to an earlier revision."""
    own = session(ctx)
    space = own.namespace(namespace)
    kind, name = one_target(resources)

    async def work(client: GrpcClient) -> None:
        present = await client.raw.get(kind, name, space)
        if at(present, "spec.paused"):
            raise Invalid(
                "you cannot rollback a paused deployment; resume it first with "
                f'"knarr rollout resume {kind.singular}/{name}"'
            )
        found = await _revisions(client, kind, name, space)
        chosen = to_revision or (sorted(found)[-2] if len(found) > 1 else 0)
        if chosen not in found:
            what = f"unable to find specified revision {to_revision}" if to_revision else "no rollout history found"
            raise NotFound(f"{what} for {shown(kind, name)}")
        template = rollouts.template(found[chosen])
        if template == rollouts.without_hash(at(present, "spec.template", {})):
            output.write(f"{shown(kind, name)} skipped rollback (current template already matches revision {chosen})")
            return
        changed = {**present, "spec": {**present["spec"], "template": template}}
        cause = rollouts.cause(found[chosen])
        if cause:
            metadata = changed["metadata"]
            changed["metadata"] = {
                **metadata,
                "annotations": {**(metadata.get("annotations") or {}), rollouts.CAUSE: cause},
            }
        if dry_run != "client":
            await client.raw.update(changed, namespace=space, field_manager=ROLLOUT, dry_run=dry_run == "server")
        output.write(f"{shown(kind, name)} rolled back{DRY_RUN[dry_run]}")

    own.run(work)


def _change_command(
    name: str,
    help_text: str,
    patch: Callable[[], dict[str, Any]],
    done: str,
    *,
    only: str = "",
    refused: Callable[[rollouts.Document], str] = lambda _: "",
) -> click.Command:
    """only: the kind that can do it; empty for all. refused: why not, of an object as it is."""

    @rollout_group.command(name, help=help_text, epilog=f"\b\nExamples:\n  knarr rollout {name} deployment/web")
    @resources_argument()
    @choice_options("files", "recursive", "namespace", "selector")
    @manager_option(ROLLOUT)
    @form_option
    @click.pass_context
    def command(
        ctx: click.Context,
        resources: tuple[str, ...],
        choice: Choice,
        manager: str,
        form: str,
    ) -> None:
        own = session(ctx)
        everything = bool(resources) and "/" not in resources[0] and len(resources) == 1
        chosen = replace(choice.of(resources), everything=everything)
        failed: list[str] = []

        async def work(client: GrpcClient) -> None:
            for target in await chosen.targets(client, own):
                kind = target.kind
                rollouts.check(kind)
                if only and kind.kind != only:
                    raise Invalid(f'{kind.qualified} "{target.name}" cannot be {done}: only deployments can')
                present = await client.raw.get(kind, target.name, target.namespace)
                why = refused(present)
                if why:
                    failed.append(f'error: {kind.qualified} "{target.name}" {why}\n')
                    continue
                answer = await client.raw.patch(
                    kind, target.name, target.namespace, patch=patch(), field_manager=manager
                )
                if form:
                    output.document(form, answer.object, kind)
                else:
                    output.write(f"{shown(kind, target.name)} {done}")

        own.run(work)
        if failed:
            sys.stderr.write("".join(failed))
            raise SystemExit(1)

    return command


_change_command(
    "restart",
    "Replace all pods, a few at a time.",
    lambda: {
        "spec": {"template": {"metadata": {"annotations": {RESTARTED: output.now().strftime("%Y-%m-%dT%H:%M:%SZ")}}}}
    },
    "restarted",
    refused=lambda present: (
        "can't restart paused deployment (run rollout resume first)" if at(present, "spec.paused") else ""
    ),
)
_change_command(
    "pause",
    "Hold changes of the template back.",
    lambda: {"spec": {"paused": True}},
    "paused",
    only="Deployment",
    refused=lambda present: "is already paused" if at(present, "spec.paused") else "",
)
_change_command(
    "resume",
    "Go on with a paused rollout.",
    lambda: {"spec": {"paused": None}},
    "resumed",
    only="Deployment",
    refused=lambda present: "" if at(present, "spec.paused") else "is not paused",
)


async def _revisions(client: GrpcClient, kind: Kind, name: str, space: str) -> dict[int, rollouts.Document]:
    rollouts.check(kind)
    owner = await client.raw.get(kind, name, space)
    page = await client.raw.list(REPLICA_SET if kind.kind == "Deployment" else CONTROLLER_REVISION, space)
    return rollouts.revisions(kind, at(owner, "metadata.uid"), page.items)


commands: tuple[click.Command, ...] = (rollout_group,)
