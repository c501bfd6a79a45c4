"""``scale`` and ``wait``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import click

from knarr_api.errors import Expired, Invalid, NotFound, Unavailable
from knarr_api.kinds import Kind
from knarr_cli import jsonpath, output
from knarr_cli.cells import at
from knarr_cli.options import Manner, manner_options
from knarr_cli.selecting import Choice, Target, choice_options, resources_argument
from knarr_cli.session import seconds, session, shown
from knarr_cli.verb import Verb
from knarr_client.client import EventType
from knarr_client.grpc import GrpcClient

Check = Callable[[dict[str, Any] | None], bool]
WEEK_S = 7 * 86400.0


@click.command(
    cls=Verb,
    name="scale",
    epilog="""\b
Examples:
  knarr scale deployment web --replicas 5
  knarr scale deploy/web deploy/shop --replicas 3
  knarr scale deployments -l tier=front --replicas 2 --dry-run=server
  knarr scale -f web.yaml --current-replicas 2 --replicas 3 --timeout 30s""",
)
@resources_argument("KIND NAME | KIND/NAME…")
@choice_options("files", "recursive", "namespace", "selector", "everything")
@click.option("--replicas", type=click.IntRange(min=0), required=True, help="How many.")
@click.option("--current-replicas", type=int, default=-1, help="Only if there are so many now.")
@click.option("--resource-version", default="", help="Only if the object is still this.")
@click.option("--timeout", default="", metavar="DURATION", help="Wait so long until there are so many.")
@manner_options("knarr-scale")
@click.pass_context
def scale_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    choice: Choice,
    replicas: int,
    current_replicas: int,
    resource_version: str,
    timeout: str,
    manner: Manner,
) -> None:
    """Set the number of replicas."""
    own = session(ctx)

    async def one(client: GrpcClient, target: Target) -> None:
        kind, name, space = target.kind, target.name, target.namespace
        if kind.kind not in ("Deployment", "ReplicaSet", "StatefulSet", "ReplicationController"):
            raise Invalid(f"cannot scale {kind.qualified}: only deployments, replicasets and statefulsets")
        present = await client.raw.get(kind, name, space, subresource="scale")
        have = at(present, "spec.replicas", 0)
        if current_replicas >= 0 and have != current_replicas:
            raise Invalid(f"Expected replicas to be {current_replicas}, was {have}")
        patch: dict[str, Any] = {"spec": {"replicas": replicas}}
        given = resource_version or (at(present, "metadata.resourceVersion") if current_replicas >= 0 else "")
        if given:
            patch["metadata"] = {"resourceVersion": given}
        if not manner.only_said:
            await client.raw.patch(
                kind,
                name,
                space,
                patch=patch,
                subresource="scale",
                field_manager=manner.manager,
                dry_run=manner.tried,
            )
        if timeout and manner.in_earnest:
            await until(client, kind, name, space, lambda now: at(now or {}, "status.replicas", 0) == replicas)
        if manner.form:
            document = await client.raw.get(kind, name, space)
            output.document(manner.form, {**document, "spec": {**document["spec"], "replicas": replicas}}, kind)
        else:
            output.write(f"{shown(kind, name)} scaled{manner.mark}")

    async def work(client: GrpcClient) -> None:
        async with asyncio.timeout(seconds(timeout) if timeout else None):
            for target in await choice.of(resources).targets(client, own):
                await one(client, target)

    timed(own.run, work, "timed out waiting for the condition")


@click.command(
    cls=Verb,
    name="wait",
    epilog="""\b
Examples:
  knarr wait --for=condition=Ready pod/web-1 --timeout 30s
  knarr wait --for=condition=Ready=Unknown node/n2
  knarr wait --for=condition=Ready pods -l app=web
  knarr wait --for=delete pod/web-1
  knarr wait --for=jsonpath='{.status.phase}'=Succeeded pod/once""",
)
@resources_argument("KIND NAME… | KIND/NAME…")
@choice_options("files", "recursive", "namespace", "all_namespaces", "selector", "field_selector", "everything")
@click.option(
    "--for",
    "conditions",
    required=True,
    multiple=True,
    metavar="CONDITION",
    help="condition=X[=V], delete, create, jsonpath={…}[=V]; several: one after the other.",
)
@click.option(
    "--timeout",
    default="30s",
    show_default=True,
    metavar="DURATION",
    help="Of all together: 10s, 5m; 0 looks once, -1s is a week.",
)
@click.pass_context
def wait_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    choice: Choice,
    conditions: tuple[str, ...],
    timeout: str,
) -> None:
    """Wait until a condition holds for all that are named; exit status 1 when the time is over."""
    own = session(ctx)
    checks = [(wanted, *condition(wanted)) for wanted in conditions]
    waited: list[Target] = []
    limit_s = WEEK_S if timeout.startswith("-") else seconds(timeout)

    async def work(client: GrpcClient) -> None:
        found = await choice.of(resources).targets(client, own)
        if not found and conditions != ("delete",):
            raise Invalid("no matching resources found")
        async with asyncio.timeout(limit_s or None):
            for wanted, check, must_exist in checks:
                for target in found:
                    waited[:] = [target]
                    if must_exist and wanted != "create":
                        await client.raw.get(target.kind, target.name, target.namespace)
                    if limit_s:
                        await until(client, target.kind, target.name, target.namespace, check)
                    elif not check(await _present(client, target.kind, target.name, target.namespace)):
                        raise Invalid(f"condition not met for {target.kind.resource}/{target.name}")
                    word = "condition met" if wanted != "delete" else "deleted"
                    output.write(f"{shown(target.kind, target.name)} {word}")

    def late() -> str:
        return f"timed out waiting for the condition on {waited[0].kind.resource}/{waited[0].name}" if waited else ""

    timed(own.run, work, late)


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


async def _present(client: GrpcClient, kind: Kind, name: str, namespace: str) -> dict[str, Any] | None:
    """The object, or None where there is none."""
    try:
        return dict(await client.raw.get(kind, name, namespace))
    except NotFound:
        return None


async def until(client: GrpcClient, kind: Kind, name: str, namespace: str, check: Check) -> None:
    """Follow one object until the check holds; the caller bounds the time."""
    while True:
        present = await _present(client, kind, name, namespace)
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


def timed(run: Callable[..., None], work: Any, message: str | Callable[[], str]) -> None:
    """Run; when the time is over say so, with exit status 1."""
    try:
        run(work)
    except TimeoutError:
        sys.stderr.write(f"error: {message if isinstance(message, str) else message()}\n")
        raise SystemExit(1) from None


commands: tuple[click.Command, ...] = (scale_command, wait_command)
