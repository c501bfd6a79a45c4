"""``set image``, ``set env``, ``set resources``, ``set selector`` and ``set serviceaccount``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid
from knarr_cli import output, podtemplates
from knarr_cli.cells import at
from knarr_cli.commands.changing import Patch, change
from knarr_cli.options import Manner, manner_options
from knarr_cli.selecting import Choice, Target, choice_options, resources_argument
from knarr_cli.session import Session, session, shown
from knarr_cli.verb import VerbGroup
from knarr_client.client import PatchType
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Document

CONTAINERS_HELP = "Only containers of this name; * is any."


@click.group("set", cls=VerbGroup)
def set_group() -> None:
    """Change images, variables, resources or the account of pods that an object makes, or what a Service selects."""


def _set(
    ctx: click.Context,
    choice: Choice,
    make: Callable[[kinds.Kind, Document], dict[str, Any]],
    word: str,
    manner: Manner,
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
            manner,
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
@choice_options("namespace", "selector", "everything")
@manner_options("knarr-set")
@click.pass_context
def image_command(
    ctx: click.Context,
    words: tuple[str, ...],
    choice: Choice,
    manner: Manner,
) -> None:
    """Set the images of containers."""
    wanted = dict(word.split("=", 1) for word in words if "=" in word)
    if not wanted or not all(wanted.values()):
        raise Invalid("at least one image update is required: CONTAINER=IMAGE")
    _set(
        ctx,
        choice.of(tuple(word for word in words if "=" not in word)),
        lambda kind, present: podtemplates.images(kind, present, wanted),
        "image updated",
        manner,
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
@choice_options("namespace", "selector", "everything")
@click.option("-c", "--containers", default="*", show_default=True, help=CONTAINERS_HELP)
@click.option("--from", "source", default="", metavar="configmap/NAME|secret/NAME", help="Take all its keys.")
@click.option("--keys", default="", help="With --from: only these, separated by commas.")
@click.option("--prefix", default="", help="With --from: before every name.")
@click.option("--overwrite/--no-overwrite", default=True, help="Change what is set already.  [default: overwrite]")
@click.option("--list", "listing", is_flag=True, help="Show the variables instead.")
@manner_options("knarr-set")
@click.pass_context
def env_command(
    ctx: click.Context,
    words: tuple[str, ...],
    choice: Choice,
    containers: str,
    source: str,
    keys: str,
    prefix: str,
    overwrite: bool,
    listing: bool,
    manner: Manner,
) -> None:
    """Set or remove environment variables of containers."""
    own = session(ctx)
    named = [word for word in words if "=" in word or word.endswith("-")]
    given, removed = podtemplates.variables(named)
    choice = choice.of(tuple(word for word in words if word not in named))
    if listing:
        _list_variables(own, choice, containers)
        return
    entries: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in given.items()]
    if source:
        entries += _from(own, own.namespace(choice.namespace), source, keys, prefix)
    if not entries and not removed:
        raise Invalid("at least one environment variable must be provided: KEY=VALUE, KEY- or --from")

    def make(kind: kinds.Kind, present: Document) -> dict[str, Any]:
        chosen = podtemplates.matching(containers, kind, present)
        return podtemplates.environment(kind, present, chosen, entries, removed, overwrite=overwrite)

    _set(ctx, choice, make, "env updated", manner)


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
@choice_options("namespace", "selector", "everything")
@click.option("-c", "--containers", default="*", show_default=True, help=CONTAINERS_HELP)
@click.option("--limits", default="", metavar="NAME=QUANTITY,…", help="What it may use at most.")
@click.option("--requests", default="", metavar="NAME=QUANTITY,…", help="What is kept for it.")
@manner_options("knarr-set")
@click.pass_context
def resources_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    choice: Choice,
    containers: str,
    limits: str,
    requests: str,
    manner: Manner,
) -> None:
    """Set what containers may use, and what is kept for them."""
    most = podtemplates.quantities(limits, "--limits")
    kept = podtemplates.quantities(requests, "--requests")
    if not most and not kept:
        raise Invalid("you must specify an update to requests or limits (in the form of --requests/--limits)")

    def make(kind: kinds.Kind, present: Document) -> dict[str, Any]:
        chosen = podtemplates.matching(containers, kind, present)
        return podtemplates.resources(kind, present, chosen, most, kept)

    _set(ctx, choice.of(resources), make, "resource requirements updated", manner)


@set_group.command(
    "selector",
    epilog="""\b
Examples:
  knarr set selector service web app=web,tier=front""",
)
@resources_argument("service NAME | service/NAME KEY=VALUE,…", name="words", required=True)
@choice_options("namespace", "selector", "everything")
@click.option("--resource-version", default="", help="Only where the Service is of this version.")
@manner_options("knarr-set")
@click.pass_context
def selector_command(
    ctx: click.Context, words: tuple[str, ...], choice: Choice, resource_version: str, manner: Manner
) -> None:
    """Set which pods a Service is for, in place of what it selected."""
    *resources, text = words
    wanted = dict(term.split("=", 1) for term in text.replace("==", "=").split(",") if "=" in term)
    if not resources or len(wanted) != len(text.split(",")):
        raise Invalid(f'one selector is required, of KEY=VALUE pairs only, not "{text}"')

    def make(kind: kinds.Kind, present: Document) -> dict[str, Any]:
        if kind.kind != "Service":
            raise Invalid("setting a selector is only supported for Services")
        gone = dict.fromkeys(set(at(present, "spec.selector", {})) - set(wanted))
        metadata = {"metadata": {"resourceVersion": resource_version}} if resource_version else {}
        return {"spec": {"selector": {**gone, **wanted}}, **metadata}

    _set(ctx, choice.of(tuple(resources)), make, "selector updated", manner)


@set_group.command("serviceaccount", epilog="\b\nExamples:\n  knarr set serviceaccount deployment web robot")
@resources_argument("KIND NAME | KIND/NAME ACCOUNT", name="words", required=True)
@choice_options("namespace", "selector", "everything")
@manner_options("knarr-set")
@click.pass_context
def serviceaccount_command(
    ctx: click.Context,
    words: tuple[str, ...],
    choice: Choice,
    manner: Manner,
) -> None:
    """Set as which service account pods run."""
    *resources, account = words
    if not resources:
        raise Invalid("serviceaccount is required: KIND NAME ACCOUNT")
    _set(
        ctx,
        choice.of(tuple(resources)),
        lambda kind, present: podtemplates.account(kind, present, account),
        "serviceaccount updated",
        manner,
    )


commands: tuple[click.Command, ...] = (set_group,)
