"""``scale`` and ``wait``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import click

from knarr_api.errors import Expired, Invalid, NotFound, Unavailable
from knarr_api.kinds import Kind
from knarr_cli import completing, jsonpath, output
from knarr_cli.options import DRY_RUN
from knarr_cli.session import namespace_option, seconds, selector_option, session, shown, targets
from knarr_cli.tables import at
from knarr_cli.verb import Verb
from knarr_client.client import EventType
from knarr_client.grpc import GrpcClient

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
        for kind, name in named(resources):
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

    timed(own.run, work, f"timed out waiting for the condition on {' '.join(resources)}")


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


def timed(run: Callable[..., None], work: Any, message: str) -> None:
    """Run; when the time is over say so, with exit status 1."""
    try:
        run(work)
    except TimeoutError:
        sys.stderr.write(f"error: {message}\n")
        raise SystemExit(1) from None


def named(resources: tuple[str, ...]) -> list[tuple[Kind, str]]:
    """Kinds and names; all must have a name. Raises Invalid."""
    wanted = targets(resources)
    if not all(name for _, name in wanted):
        raise Invalid("name the object: KIND NAME or KIND/NAME")
    return wanted


commands: tuple[click.Command, ...] = (scale_command, wait_command)
