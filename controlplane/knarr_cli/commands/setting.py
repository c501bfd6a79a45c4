"""``set image``, ``set env``, ``set resources`` and ``autoscale``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_api.quantity import Quantity
from knarr_cli import output, podtemplates
from knarr_cli.cells import at
from knarr_cli.commands.changing import Patch, change
from knarr_cli.options import (
    DRY_RUN,
    dry_run_option,
    everything_option,
    form_option,
    manager_option,
    namespace_option,
    selector_option,
)
from knarr_cli.selecting import Choice, Target, resources_argument
from knarr_cli.session import Session, session, shown, warn
from knarr_cli.verb import Verb, VerbGroup
from knarr_client.client import PatchType
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Answer, Document

CONTAINERS_HELP = "Only containers of this name; * is any."


@click.group("set", cls=VerbGroup)
def set_group() -> None:
    """Change images, variables, resources or the account of pods that an object makes."""


def _set(
    ctx: click.Context,
    choice: Choice,
    make: Callable[[kinds.Kind, Document], dict[str, Any]],
    word: str,
    *,
    manager: str,
    form: str,
    dry_run: str,
) -> None:
    """One strategic patch per object; what it already is nothing is said of, as with kubectl."""
    own = session(ctx)

    async def found(client: GrpcClient) -> list[Target]:
        return await choice.targets(client, own)

    for target in own.run(found):
        kind = target.kind
        one = Choice(resources=(f"{kind.qualified}/{target.name}",), namespace=target.namespace)

        def patch(present: Document, kind: kinds.Kind = kind) -> tuple[Patch, str]:
            return make(kind, present), word

        change(
            ctx,
            one,
            patch,
            manager=manager,
            form=form,
            dry_run=dry_run,
            type_=PatchType.STRATEGIC,
            quiet_without_change=True,
        )


@set_group.command(
    "image",
    epilog="""\b
Examples:
  knarr set image deployment/web main=shop:2
  knarr set image deployment web main=shop:2 log=log:3
  knarr set image deployments --all '*=shop:2' --dry-run=server""",
)
@resources_argument("KIND NAME | KIND/NAME CONTAINER=IMAGE…", name="words", required=True)
@namespace_option
@selector_option
@everything_option
@dry_run_option
@manager_option("knarr-set")
@form_option
@click.pass_context
def image_command(
    ctx: click.Context,
    words: tuple[str, ...],
    namespace: str,
    selector: str,
    everything: bool,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Set the images of containers."""
    wanted = dict(word.split("=", 1) for word in words if "=" in word)
    if not wanted or not all(wanted.values()):
        raise Invalid("at least one image update is required: CONTAINER=IMAGE")
    choice = Choice(
        resources=tuple(word for word in words if "=" not in word),
        namespace=namespace,
        selector=selector,
        everything=everything,
    )
    _set(
        ctx,
        choice,
        lambda kind, present: podtemplates.images(kind, present, wanted),
        "image updated",
        manager=manager,
        form=form,
        dry_run=dry_run,
    )


@set_group.command(
    "env",
    epilog="""\b
Examples:
  knarr set env deployment/web COLOUR=blue DEBUG-
  knarr set env deployment/web -c main --from configmap/settings --prefix APP_
  knarr set env deployment/web --list""",
)
@resources_argument("KIND NAME | KIND/NAME KEY=VALUE… KEY-…", name="words", required=True)
@namespace_option
@selector_option
@everything_option
@click.option("-c", "--containers", default="*", show_default=True, help=CONTAINERS_HELP)
@click.option("--from", "source", default="", metavar="configmap/NAME|secret/NAME", help="Take all its keys.")
@click.option("--keys", default="", help="With --from: only these, separated by commas.")
@click.option("--prefix", default="", help="With --from: before every name.")
@click.option("--overwrite/--no-overwrite", default=True, help="Change what is set already.  [default: overwrite]")
@click.option("--list", "listing", is_flag=True, help="Show the variables instead.")
@dry_run_option
@manager_option("knarr-set")
@form_option
@click.pass_context
def env_command(
    ctx: click.Context,
    words: tuple[str, ...],
    namespace: str,
    selector: str,
    everything: bool,
    containers: str,
    source: str,
    keys: str,
    prefix: str,
    overwrite: bool,
    listing: bool,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Set or remove environment variables of containers."""
    own = session(ctx)
    named = [word for word in words if "=" in word or word.endswith("-")]
    given, removed = podtemplates.variables(named)
    choice = Choice(
        resources=tuple(word for word in words if word not in named),
        namespace=namespace,
        selector=selector,
        everything=everything,
    )
    if listing:
        _list_variables(own, choice, containers)
        return
    entries: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in given.items()]
    if source:
        entries += _from(own, own.namespace(namespace), source, keys, prefix)
    if not entries and not removed:
        raise Invalid("at least one environment variable must be provided: KEY=VALUE, KEY- or --from")

    def make(kind: kinds.Kind, present: Document) -> dict[str, Any]:
        chosen = podtemplates.matching(containers, kind, present)
        return podtemplates.environment(kind, present, chosen, entries, removed, overwrite=overwrite)

    _set(ctx, choice, make, "env updated", manager=manager, form=form, dry_run=dry_run)


def _from(own: Session, space: str, source: str, keys: str, prefix: str) -> list[dict[str, Any]]:
    """Entries for the keys of a ConfigMap or Secret. Raises Invalid, NotFound."""
    word, _, name = source.partition("/")
    kind = kinds.lookup(word)
    if kind.kind not in ("ConfigMap", "Secret") or not name:
        raise Invalid(f'--from "{source}": must be configmap/NAME or secret/NAME')

    async def read(client: GrpcClient) -> Document:
        return await client.raw.get(kind, name, space)

    present = own.run(read)
    there = sorted({**(present.get("data") or {}), **(present.get("binaryData") or {})})
    wanted = [key for key in keys.split(",") if key] or there
    missing = [key for key in wanted if key not in there]
    if missing:
        raise Invalid(f"{source} has no key {', '.join(missing)}: it has {', '.join(there)}")
    return podtemplates.from_keys(kind.kind, name, wanted, prefix)


def _list_variables(own: Session, choice: Choice, pattern: str) -> None:
    async def work(client: GrpcClient) -> None:
        for target in await choice.targets(client, own):
            present = await client.raw.get(target.kind, target.name, target.namespace)
            chosen = podtemplates.matching(pattern, target.kind, present)
            for name in podtemplates.LISTS:
                for container in at(present, f"{podtemplates.path_of(target.kind)}.{name}", []):
                    if chosen(container["name"]):
                        output.write(f"# {shown(target.kind, target.name)}, container {container['name']}")
                        for entry in container.get("env") or []:
                            output.write(_variable(entry))

    own.run(work)


def _variable(entry: Document) -> str:
    for field, word in (("configMapKeyRef", "configmap"), ("secretKeyRef", "secret")):
        reference = at(entry, f"valueFrom.{field}", None)
        if reference:
            return f"# {entry['name']} from {word} {reference.get('name')}, key {reference.get('key')}"
    if "valueFrom" in entry:
        return f"# {entry['name']} from {', '.join(entry['valueFrom'])}"
    return f"{entry['name']}={entry.get('value', '')}"


@set_group.command(
    "resources",
    epilog="""\b
Examples:
  knarr set resources deployment/web --limits cpu=200m,memory=512Mi --requests cpu=100m,memory=256Mi
  knarr set resources deployment web -c main --limits memory=1Gi""",
)
@resources_argument(required=True)
@namespace_option
@selector_option
@everything_option
@click.option("-c", "--containers", default="*", show_default=True, help=CONTAINERS_HELP)
@click.option("--limits", default="", metavar="NAME=QUANTITY,…", help="What it may use at most.")
@click.option("--requests", default="", metavar="NAME=QUANTITY,…", help="What is kept for it.")
@dry_run_option
@manager_option("knarr-set")
@form_option
@click.pass_context
def resources_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    namespace: str,
    selector: str,
    everything: bool,
    containers: str,
    limits: str,
    requests: str,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Set what containers may use, and what is kept for them."""
    most = podtemplates.quantities(limits, "--limits")
    kept = podtemplates.quantities(requests, "--requests")
    if not most and not kept:
        raise Invalid("you must specify an update to requests or limits (in the form of --requests/--limits)")

    def make(kind: kinds.Kind, present: Document) -> dict[str, Any]:
        chosen = podtemplates.matching(containers, kind, present)
        return podtemplates.resources(kind, present, chosen, most, kept)

    choice = Choice(resources=resources, namespace=namespace, selector=selector, everything=everything)
    _set(ctx, choice, make, "resource requirements updated", manager=manager, form=form, dry_run=dry_run)


@set_group.command("serviceaccount", epilog="\b\nExamples:\n  knarr set serviceaccount deployment web robot")
@resources_argument("KIND NAME | KIND/NAME ACCOUNT", name="words", required=True)
@namespace_option
@selector_option
@everything_option
@dry_run_option
@manager_option("knarr-set")
@form_option
@click.pass_context
def serviceaccount_command(
    ctx: click.Context,
    words: tuple[str, ...],
    namespace: str,
    selector: str,
    everything: bool,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Set as which service account pods run."""
    *resources, account = words
    if not resources:
        raise Invalid("serviceaccount is required: KIND NAME ACCOUNT")
    choice = Choice(resources=tuple(resources), namespace=namespace, selector=selector, everything=everything)
    _set(
        ctx,
        choice,
        lambda kind, present: podtemplates.account(kind, present, account),
        "serviceaccount updated",
        manager=manager,
        form=form,
        dry_run=dry_run,
    )


@click.command(
    cls=Verb,
    name="autoscale",
    epilog="""\b
Examples:
  knarr autoscale deployment web --min 2 --max 10 --cpu-percent 80
  knarr autoscale deployment/web --max 5 --cpu 500m --memory 60%
  knarr autoscale deployment/web --max 5 --name busy --dry-run=client -o yaml""",
)
@resources_argument(required=True)
@namespace_option
@click.option("--min", "least", type=click.IntRange(min=1), default=1, show_default=True, help="Fewest replicas.")
@click.option("--max", "most", type=click.IntRange(min=1), required=True, help="Most replicas.")
@click.option("--cpu-percent", type=click.IntRange(min=1), help="Of the requests, on average over all pods.")
@click.option("--cpu", default="", metavar="PERCENT%|QUANTITY", help="Of the requests, or absolute: 80%, 500m.")
@click.option("--memory", default="", metavar="PERCENT%|QUANTITY", help="Of the requests, or absolute: 60%, 200Mi.")
@click.option("--name", default="", help="Of the autoscaler.  [default: that of what it scales]")
@dry_run_option
@manager_option("knarr-autoscale")
@form_option
@click.pass_context
def autoscale_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    namespace: str,
    least: int,
    most: int,
    cpu_percent: int | None,
    cpu: str,
    memory: str,
    name: str,
    dry_run: str,
    manager: str,
    form: str,
) -> None:
    """Make an autoscaler, which sets the number of replicas by their load."""
    if most < least:
        raise Invalid(f"--max={most} must be larger or equal to --min={least}")
    if cpu_percent is not None and cpu:
        raise Invalid("--cpu-percent and --cpu say the same: give one of them")
    metrics = [usage("cpu", f"{cpu_percent}%" if cpu_percent is not None else cpu), usage("memory", memory)]
    own = session(ctx)
    choice = Choice(resources=resources, namespace=namespace)
    kind = kinds.by_kind("autoscaling/v2", "HorizontalPodAutoscaler")

    async def work(client: GrpcClient) -> None:
        for target in await choice.targets(client, own):
            # Reading the scale says whether it is there, and can be scaled.
            await client.raw.get(target.kind, target.name, target.namespace, subresource="scale")
            document = autoscaler(target, name or target.name, least, most, [each for each in metrics if each])
            answer = Answer(object=document)
            if dry_run != "client":
                answer = await client.raw.create(
                    document, namespace=target.namespace, field_manager=manager, dry_run=dry_run == "server"
                )
            warn(answer.warnings)
            if form:
                output.document(form, answer.object, kind)
            else:
                output.write(f"{shown(kind, name or target.name)} autoscaled{DRY_RUN[dry_run]}")

    own.run(work)


def usage(resource: str, text: str) -> dict[str, Any]:
    """A metric for ``80%`` of what is requested, or for an amount; nothing for no text. Raises Invalid."""
    if not text:
        return {}
    percent = text.removesuffix("%")
    if text.endswith("%") and percent.isdecimal() and int(percent) > 0:
        target: dict[str, Any] = {"type": "Utilization", "averageUtilization": int(percent)}
    elif not text.endswith("%"):
        target = {"type": "AverageValue", "averageValue": str(Quantity(text))}
    else:
        raise Invalid(f'--{resource}="{text}": must be like 80% or an amount')
    return {"type": "Resource", "resource": {"name": resource, "target": target}}


def autoscaler(target: Target, name: str, least: int, most: int, metrics: list[dict[str, Any]]) -> dict[str, Any]:
    """The document. Pure."""
    reference = {"apiVersion": target.kind.api_version, "kind": target.kind.kind, "name": target.name}
    spec: dict[str, Any] = {"scaleTargetRef": reference, "minReplicas": least, "maxReplicas": most}
    if metrics:
        spec["metrics"] = metrics
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": target.namespace},
        "spec": spec,
    }


commands: tuple[click.Command, ...] = (set_group, autoscale_command)
