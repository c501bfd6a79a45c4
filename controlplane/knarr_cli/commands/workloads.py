"""``scale``, ``rollout`` and ``wait``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Expired, Invalid, NotFound, Unavailable
from knarr_api.kinds import Kind
from knarr_cli import completing, jsonpath, output
from knarr_cli.options import DRY_RUN
from knarr_cli.session import namespace_option, seconds, selector_option, session, shown, targets
from knarr_cli.tables import at
from knarr_cli.verb import Verb, VerbGroup
from knarr_client.client import EventType
from knarr_client.grpc import GrpcClient

REPLICA_SET = kinds.by_kind("apps/v1", "ReplicaSet")
REVISION, CAUSE = "deployment.kubernetes.io/revision", "kubernetes.io/change-cause"
RESTARTED = "kubectl.kubernetes.io/restartedAt"
HASH = "pod-template-hash"
ROLLOUT = "knarr-rollout"
Check = Callable[[dict[str, Any] | None], bool]


@click.command(
    cls=Verb,
    name="scale",
    epilog="\b\nExamples:\n  knarr scale deployment web --replicas 5\n  knarr scale deploy/web --replicas 3",
)
@click.argument(
    "resources", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME…", shell_complete=completing.resources
)
@namespace_option
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="How many.")
@click.option("--current-replicas", type=int, default=-1, help="Only if there are so many now.")
@click.option("--dry-run", type=click.Choice(["none", "server"]), default="none", help="Only say it.")
@click.pass_context
def scale_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    namespace: str,
    replicas: int,
    current_replicas: int,
    dry_run: str,
) -> None:
    """Set the number of replicas."""
    own = session(ctx)
    space = own.namespace(namespace)

    async def work(client: GrpcClient) -> None:
        for kind, name in _named(resources):
            if kind.kind not in ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"):
                raise Invalid(f"cannot scale {kind.qualified}: only deployments, replicasets and statefulsets")
            patch: dict[str, Any] = {"spec": {"replicas": replicas}}
            if current_replicas >= 0:
                present = await client.raw.get(kind, name, space, subresource="scale")
                have = at(present, "spec.replicas", 1)
                if have != current_replicas:
                    raise Invalid(f"Expected replicas to be {current_replicas}, was {have}")
                patch["metadata"] = {"resourceVersion": at(present, "metadata.resourceVersion")}
            await client.raw.patch(
                kind,
                name,
                space,
                patch=patch,
                subresource="scale",
                field_manager="knarr-scale",
                dry_run=dry_run == "server",
            )
            output.write(f"{shown(kind, name)} scaled{DRY_RUN[dry_run]}")

    own.run(work)


@click.group("rollout", cls=VerbGroup)
def rollout_group() -> None:
    """Follow, undo, restart, pause or resume the rollout of a deployment."""


@rollout_group.command(
    "status",
    epilog="\b\nExamples:\n  knarr rollout status deployment/web\n  knarr rollout status deploy web --timeout 1m",
)
@click.argument(
    "resources", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME", shell_complete=completing.resources
)
@namespace_option
@click.option("--watch/--no-watch", default=True, help="Until it is done.  [default: watch]")
@click.option("--timeout", default="", metavar="DURATION", help="[default: none]")
@click.pass_context
def status_command(ctx: click.Context, resources: tuple[str, ...], namespace: str, watch: bool, timeout: str) -> None:
    """Show how far a rollout is, until it is done; exit status 1 when it has failed."""
    own = session(ctx)
    space = own.namespace(namespace)
    ((kind, name),) = _named(resources)
    _only_deployments(kind)
    said = ""

    def done(document: dict[str, Any] | None) -> bool:
        nonlocal said
        if document is None:
            raise NotFound(f'deployments.apps "{name}" not found')
        finished, text = rollout_state(document)
        if text != said:
            output.write(text)
            sys.stdout.flush()
            said = text
        return finished or not watch

    async def work(client: GrpcClient) -> None:
        async with asyncio.timeout(seconds(timeout) if timeout else None):
            await until(client, kind, name, space, done)

    _timed(own.run, work, f"timed out waiting for the rollout of {shown(kind, name)}")


def rollout_state(deployment: dict[str, Any]) -> tuple[bool, str]:
    """(is it done, the sentence). Pure. Raises Invalid when the progress deadline is exceeded."""
    name = at(deployment, "metadata.name")
    if at(deployment, "metadata.generation", 0) > at(deployment, "status.observedGeneration", 0):
        return False, "Waiting for deployment spec update to be observed..."
    conditions = {c["type"]: c for c in at(deployment, "status.conditions", [])}
    if conditions.get("Progressing", {}).get("reason") == "ProgressDeadlineExceeded":
        raise Invalid(f'deployment "{name}" exceeded its progress deadline')
    wanted = at(deployment, "spec.replicas", 1)
    updated = at(deployment, "status.updatedReplicas", 0)
    total = at(deployment, "status.replicas", 0)
    available = at(deployment, "status.availableReplicas", 0)
    waiting = f'Waiting for deployment "{name}" rollout to finish: '
    if updated < wanted:
        return False, f"{waiting}{updated} out of {wanted} new replicas have been updated..."
    if total > updated:
        return False, f"{waiting}{total - updated} old replicas are pending termination..."
    if available < updated:
        return False, f"{waiting}{available} of {updated} updated replicas are available..."
    return True, f'deployment "{name}" successfully rolled out'


@rollout_group.command("history", epilog="\b\nExamples:\n  knarr rollout history deployment/web --revision 2")
@click.argument(
    "resources", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME", shell_complete=completing.resources
)
@namespace_option
@click.option("--revision", type=int, default=0, help="Show this one in detail.")
@click.pass_context
def history_command(ctx: click.Context, resources: tuple[str, ...], namespace: str, revision: int) -> None:
    """Show the revisions there are to go back to."""
    own = session(ctx)
    space = own.namespace(namespace)
    ((kind, name),) = _named(resources)

    async def work(client: GrpcClient) -> None:
        found = await _revisions(client, kind, name, space)
        if revision:
            if revision not in found:
                raise NotFound(f"unable to find the specified revision {revision} of {shown(kind, name)}")
            output.write(f"{shown(kind, name)} with revision #{revision}")
            output.document("yaml", _template(found[revision]))
            return
        output.write(f"{shown(kind, name)}")
        rows = [
            [str(number), at(replica_set, "metadata.annotations", {}).get(CAUSE, "<none>")]
            for number, replica_set in sorted(found.items())
        ]
        output.table(["REVISION", "CHANGE-CAUSE"], rows)

    own.run(work)


@rollout_group.command(
    "undo", epilog="\b\nExamples:\n  knarr rollout undo deployment/web\n  knarr rollout undo deploy/web --to-revision 3"
)
@click.argument(
    "resources", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME", shell_complete=completing.resources
)
@namespace_option
@click.option("--to-revision", type=int, default=0, help="Default: the one before.")
@click.pass_context
def undo_command(ctx: click.Context, resources: tuple[str, ...], namespace: str, to_revision: int) -> None:
    """Go back to an earlier revision."""
    own = session(ctx)
    space = own.namespace(namespace)
    ((kind, name),) = _named(resources)

    async def work(client: GrpcClient) -> None:
        deployment = await client.raw.get(kind, name, space)
        if at(deployment, "spec.paused"):
            raise Invalid(
                "you cannot rollback a paused deployment; resume it first with "
                f'"knarr rollout resume {kind.singular}/{name}"'
            )
        found = await _revisions(client, kind, name, space)
        chosen = to_revision or (sorted(found)[-2] if len(found) > 1 else 0)
        if chosen not in found:
            what = f"unable to find specified revision {to_revision}" if to_revision else "no rollout history found"
            raise NotFound(f"{what} for {shown(kind, name)}")
        template = _template(found[chosen])
        if template == _without_hash(at(deployment, "spec.template", {})):
            output.write(f"{shown(kind, name)} skipped rollback (current template already matches revision {chosen})")
            return
        changed = {**deployment, "spec": {**deployment["spec"], "template": template}}
        cause = at(found[chosen], "metadata.annotations", {}).get(CAUSE)
        if cause:
            metadata = changed["metadata"]
            changed["metadata"] = {**metadata, "annotations": {**(metadata.get("annotations") or {}), CAUSE: cause}}
        await client.raw.update(changed, namespace=space, field_manager=ROLLOUT)
        output.write(f"{shown(kind, name)} rolled back")

    own.run(work)


def _change_command(name: str, help_text: str, patch: Callable[[], dict[str, Any]], done: str) -> click.Command:
    @rollout_group.command(name, help=help_text, epilog=f"\b\nExamples:\n  knarr rollout {name} deployment/web")
    @click.argument(
        "resources", nargs=-1, required=True, metavar="KIND NAME | KIND/NAME", shell_complete=completing.resources
    )
    @namespace_option
    @click.pass_context
    def command(ctx: click.Context, resources: tuple[str, ...], namespace: str) -> None:
        own = session(ctx)
        space = own.namespace(namespace)

        async def work(client: GrpcClient) -> None:
            for kind, each in _named(resources):
                _only_deployments(kind)
                await client.raw.patch(kind, each, space, patch=patch(), field_manager=ROLLOUT)
                output.write(f"{shown(kind, each)} {done}")

        own.run(work)

    return command


_change_command(
    "restart",
    "Replace all pods, a few at a time.",
    lambda: {
        "spec": {"template": {"metadata": {"annotations": {RESTARTED: output.now().strftime("%Y-%m-%dT%H:%M:%SZ")}}}}
    },
    "restarted",
)
_change_command("pause", "Hold changes of the template back.", lambda: {"spec": {"paused": True}}, "paused")
_change_command("resume", "Go on with a paused rollout.", lambda: {"spec": {"paused": None}}, "resumed")


@click.command(
    cls=Verb,
    name="wait",
    epilog="""\b
Examples:
  knarr wait --for=condition=Ready pod/web-1 --timeout 30s
  knarr wait --for=condition=Ready=Unknown node/n2
  knarr wait --for=delete pod/web-1
  knarr wait --for=jsonpath='{.status.phase}'=Succeeded pod/once""",
)
@click.argument(
    "resources", nargs=-1, required=True, metavar="KIND NAME… | KIND/NAME…", shell_complete=completing.resources
)
@namespace_option
@selector_option
@click.option(
    "--for", "wanted", required=True, metavar="CONDITION", help="condition=X[=V], delete, create, jsonpath={…}=V"
)
@click.option("--timeout", default="30s", show_default=True, metavar="DURATION", help="Of all together: 10s, 5m.")
@click.pass_context
def wait_command(
    ctx: click.Context, resources: tuple[str, ...], namespace: str, selector: str, wanted: str, timeout: str
) -> None:
    """Wait until a condition holds for all that are named; exit status 1 when the time is over."""
    own = session(ctx)
    space = own.namespace(namespace)
    check, must_exist = condition(wanted)

    async def work(client: GrpcClient) -> None:
        pairs: list[tuple[Kind, str]] = []
        for kind, name in targets(resources):
            if name:
                pairs.append((kind, name))
            else:
                page = await client.raw.list(kind, space if kind.namespaced else "", label_selector=selector)
                pairs += [(kind, at(item, "metadata.name")) for item in page.items]
        if not pairs:
            raise NotFound("no matching resources found")
        async with asyncio.timeout(seconds(timeout)):
            for kind, name in pairs:
                place = space if kind.namespaced else ""
                if must_exist and wanted != "create":
                    await client.raw.get(kind, name, place)
                await until(client, kind, name, place, check)
                output.write(f"{shown(kind, name)} {'condition met' if wanted != 'delete' else 'deleted'}")

    _timed(own.run, work, f"timed out waiting for the condition on {' '.join(resources)}")


def condition(text: str) -> tuple[Check, bool]:
    """(does it hold for this object, or its absence; must the object exist). Pure. Raises Invalid."""
    if text == "delete":
        return (lambda document: document is None), False
    if text == "create":
        return (lambda document: document is not None), False
    if text.startswith("condition="):
        name, equal, value = text.removeprefix("condition=").partition("=")
        wanted = (value if equal else "True").lower()

        def holds(document: dict[str, Any] | None) -> bool:
            conditions = at(document or {}, "status.conditions", [])
            return any(c["type"].lower() == name.lower() and c["status"].lower() == wanted for c in conditions)

        return holds, True
    if text.startswith("jsonpath="):
        path, closing, value = text.removeprefix("jsonpath=").rpartition("}")
        path = path.strip("'\"").removeprefix("{") if closing else text.removeprefix("jsonpath=")
        expected = value.removeprefix("=").strip("'\"") if closing else ""

        def matches(document: dict[str, Any] | None) -> bool:
            found = [str(v).lower() if isinstance(v, bool) else str(v) for v in jsonpath.find(path, document or {})]
            return bool(found) and (not expected or all(each == expected for each in found))

        return matches, True
    raise Invalid(f'--for="{text}": must be condition=NAME[=VALUE], delete, create or jsonpath={{…}}=VALUE')


async def until(client: GrpcClient, kind: Kind, name: str, namespace: str, check: Check) -> None:
    """Follow one object until the check holds; the caller bounds the time."""
    while True:
        try:
            present: dict[str, Any] | None = dict(await client.raw.get(kind, name, namespace))
        except NotFound:
            present = None
        if check(present):
            return
        revision = (
            at(present or {}, "metadata.resourceVersion")
            or (await client.raw.list(kind, namespace, field_selector=f"metadata.name={name}")).resource_version
        )
        try:
            watching = client.raw.watch(
                kind, namespace, field_selector=f"metadata.name={name}", resource_version=revision
            )
            async for batch in watching:
                for event in batch:
                    if event.type is EventType.BOOKMARK:
                        continue
                    if check(None if event.type is EventType.DELETED else dict(event.object or {})):
                        return
        except (Expired, Unavailable):
            await asyncio.sleep(0.2)


def _timed(run: Callable[..., None], work: Any, message: str) -> None:
    try:
        run(work)
    except TimeoutError:
        sys.stderr.write(f"error: {message}\n")
        raise SystemExit(1) from None


def _named(resources: tuple[str, ...]) -> list[tuple[Kind, str]]:
    wanted = targets(resources)
    if not all(name for _, name in wanted):
        raise Invalid("name the object: KIND NAME or KIND/NAME")
    return wanted


def _only_deployments(kind: Kind) -> None:
    if kind.kind != "Deployment":
        raise Invalid(f"{kind.qualified} have no rollouts yet: only deployments have")


async def _revisions(client: GrpcClient, kind: Kind, name: str, space: str) -> dict[int, dict[str, Any]]:
    """The deployment's ReplicaSets by revision."""
    _only_deployments(kind)
    deployment = await client.raw.get(kind, name, space)
    uid = at(deployment, "metadata.uid")
    page = await client.raw.list(REPLICA_SET, space)
    found: dict[int, dict[str, Any]] = {}
    for item in page.items:
        owners = at(item, "metadata.ownerReferences", [])
        number = at(item, "metadata.annotations", {}).get(REVISION, "")
        if any(owner.get("uid") == uid for owner in owners) and number.isdecimal():
            found[int(number)] = dict(item)
    return found


def _template(replica_set: dict[str, Any]) -> dict[str, Any]:
    return _without_hash(at(replica_set, "spec.template", {}))


def _without_hash(template: dict[str, Any]) -> dict[str, Any]:
    metadata = dict(template.get("metadata") or {})
    metadata["labels"] = {k: v for k, v in (metadata.get("labels") or {}).items() if k != HASH}
    return {**template, "metadata": metadata}


commands: tuple[click.Command, ...] = (scale_command, rollout_group, wait_command)
