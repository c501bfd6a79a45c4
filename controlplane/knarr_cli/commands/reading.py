"""``get``, ``describe`` and ``events``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from knarr_api import kinds
from knarr_api.errors import Invalid, NotFound
from knarr_api.kinds import Kind
from knarr_cli import output, sending, tables
from knarr_cli.cells import at, event_order
from knarr_cli.commands import past
from knarr_cli.describing import describe
from knarr_cli.getting import Found, Wanted, find
from knarr_cli.options import all_namespaces_option, files_option, namespace_option, recursive_option, selector_option
from knarr_cli.printing import Printer
from knarr_cli.refusal import explain
from knarr_cli.selecting import resources_argument
from knarr_cli.session import chosen_one_way, one_target, session, targets
from knarr_cli.verb import Verb
from knarr_cli.watching import follow
from knarr_client.grpc import GrpcClient

EVENT = kinds.by_kind("v1", "Event")
POD = kinds.by_kind("v1", "Pod")
REPLICA_SET = kinds.by_kind("apps/v1", "ReplicaSet")
QUOTA, LIMITS = kinds.by_kind("v1", "ResourceQuota"), kinds.by_kind("v1", "LimitRange")


@click.command(
    cls=Verb,
    name="get",
    epilog="""\b
Examples:
  knarr get pods                                   # of the current namespace
  knarr get nodes,deployments,pods -o wide
  knarr get pod/web-1 -o yaml
  knarr get pods -A -l app=web --field-selector spec.nodeName=n1
  knarr get pods -o jsonpath='{.items[*].metadata.name}'
  knarr get pods -o go-template='{{range .items}}{{.metadata.name}} {{end}}'
  knarr get deployment web -w                      # and every change
  knarr get pods -L app,tier                       # with columns for these labels
  knarr get -f web.yaml                            # what the file names
  knarr get pods --at 10m                          # as they were ten minutes ago
  knarr get pods -w --request-timeout 30s          # changes for half a minute""",
)
@resources_argument("KIND[,KIND…] [NAME…] | KIND/NAME…")
@files_option
@recursive_option
@namespace_option
@all_namespaces_option
@selector_option
@click.option("--field-selector", default="", help="spec.nodeName=n1,metadata.name!=x")
@click.option("-o", "--output", "form", default="", help=output.FORMS)
@click.option("--template", default="", help="That of -o go-template, jsonpath and the like.  [default: go-template]")
@click.option("-w", "--watch", is_flag=True, help="Go on with every change.")
@click.option("--watch-only", is_flag=True, help="Only changes, not what is there.")
@click.option("--output-watch-events", "events", is_flag=True, help="Say of each change what it is.")
@click.option("--show-labels", is_flag=True, help="As the last column.")
@click.option("-L", "--label-columns", multiple=True, metavar="LABEL,…", help="A column for each of these labels.")
@click.option("--chunk-size", type=click.IntRange(min=0), default=500, show_default=True, help="Read so many at once.")
@click.option("--no-headers", is_flag=True, help="Rows only.")
@click.option("--sort-by", default="", metavar="JSONPATH", help=".metadata.creationTimestamp")
@click.option("--ignore-not-found", is_flag=True, help="What is not there is no error.")
@click.option("--at-revision", default="", metavar="R", help="As it was at that resourceVersion.")
@click.option("--at", "at_time", default="", metavar="TIME", help="As it was: 10m ago, or at 2030-01-31T12:00:00Z.")
@click.option("--show-managed-fields", is_flag=True, help="In JSON and YAML: who owns which field.")
@click.option("--subresource", type=click.Choice(["status", "scale"]), help="This of a named object.")
@click.pass_context
def get_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    all_namespaces: bool,
    selector: str,
    field_selector: str,
    form: str,
    template: str,
    watch: bool,
    watch_only: bool,
    events: bool,
    show_labels: bool,
    label_columns: tuple[str, ...],
    chunk_size: int,
    no_headers: bool,
    sort_by: str,
    ignore_not_found: bool,
    at_revision: str,
    at_time: str,
    show_managed_fields: bool,
    subresource: str | None,
) -> None:
    """Show objects."""
    own = session(ctx)
    if template:
        form = f"{form or 'go-template'}={template}"
    watch = watch or watch_only
    if events and not watch:
        raise Invalid("--output-watch-events option can only be used with --watch or --watch-only")
    if files and resources:
        raise Invalid("when files are provided as arguments, names are not allowed: give -f or KIND NAME")
    named = sending.read(ctx, files, recursive=recursive, validate="ignore") if files else []
    wanted = Wanted(
        targets=[(each.kind, each.name) for each in named] or targets(resources),
        places={(each.kind, each.name): each.namespace for each in named},
        namespace="" if all_namespaces else own.namespace(namespace),
        selector=selector,
        fields=field_selector,
        page_size=chunk_size,
        subresource=subresource or "",
        revision=at_revision,
    )
    _check(wanted, watch=watch, at_time=at_time, all_namespaces=all_namespaces and not named)
    printer = Printer(
        form,
        wanted.namespace,
        all_namespaces,
        show_labels,
        not no_headers,
        several=len({kind for kind, _ in wanted.targets}) > 1,
        managed=show_managed_fields,
        label_columns=tuple(label for each in label_columns for label in each.split(",") if label),
        events=events,
    )

    async def work(client: GrpcClient) -> list[NotFound]:
        if at_time:
            wanted.revision = await past.revision_at(client, at_time)
        found = await find(client, wanted)
        missing = [] if ignore_not_found else found.missing
        if sort_by:
            _sort(found, sort_by)
        none_is_told = not ignore_not_found and not missing
        if (none_is_told or any(found.groups.values())) and not watch_only:
            printer.show(found.groups, single=wanted.one)
            sys.stdout.flush()
        if watch and not missing:
            (kind,) = found.groups
            fields, revision = wanted.fields_to_follow(), found.revision(kind)
            await follow(client, kind, wanted.namespace, selector, fields, revision, printer, limit_s=own.watch_limit_s)
        return missing

    missing = own.run(work)
    for error in missing:
        sys.stderr.write(explain(error) + "\n")
    if missing:
        raise SystemExit(1)


def _check(wanted: Wanted, *, watch: bool, at_time: str, all_namespaces: bool) -> None:
    """Raises Invalid for options that contradict each other."""
    by_label = bool(wanted.selector or wanted.fields)
    chosen_one_way(wanted.targets, by_label=by_label, all_namespaces=all_namespaces)
    if wanted.subresource and not all(name for _, name in wanted.targets):
        raise Invalid("subresource can not be used when bulk resources are specified: name the object")
    if wanted.revision and at_time:
        raise Invalid("--at and --at-revision: give one of them")
    if watch and (wanted.revision or at_time):
        raise Invalid("what was does not change: --watch goes without --at and --at-revision")
    if watch and len({kind for kind, _ in wanted.targets}) > 1:
        raise Invalid("you may only specify a single resource type when watching")


def _sort(found: Found, path: str) -> None:
    """Each kind's objects by a field. Raises Invalid where none of them has it."""
    from knarr_cli import jsonpath

    def values(item: dict[str, Any]) -> list[Any]:
        return jsonpath.find(path.strip("{}"), item)

    def key(item: dict[str, Any]) -> tuple[int, Any]:
        value = next(iter(values(item)), "")
        return (0, value) if isinstance(value, int | float) else (1, str(value))

    items = [item for each in found.groups.values() for item in each]
    if items and not any(values(item) for item in items):
        raise Invalid(f'couldn\'t find any field with path "{path}" in the list of objects')
    for each in found.groups.values():
        each.sort(key=key)


@click.command(
    cls=Verb,
    name="describe",
    epilog="""\b
Examples:
  knarr describe pod web-1
  knarr describe node/n1
  knarr describe pods web                          # all whose names begin so, where none has just this name
  knarr describe deployments -l app=web -A
  knarr describe -f web.yaml                       # what the file names""",
)
@resources_argument("KIND [NAME…] | KIND/NAME…")
@files_option
@recursive_option
@namespace_option
@all_namespaces_option
@selector_option
@click.pass_context
def describe_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    files: tuple[str, ...],
    recursive: bool,
    namespace: str,
    all_namespaces: bool,
    selector: str,
) -> None:
    """Show objects in detail, with their events."""
    own = session(ctx)
    space = "" if all_namespaces else own.namespace(namespace)
    if files and resources:
        raise Invalid("when files are provided as arguments, names are not allowed: give -f or KIND NAME")
    named = sending.read(ctx, files, recursive=recursive, validate="ignore") if files else []
    if named and selector:
        raise Invalid("name cannot be provided when a selector is specified")

    async def work(client: GrpcClient) -> None:
        found: list[tuple[Kind, dict[str, Any]]] = []
        for each in named:
            place = sending.space_of(own, each, own.asked(namespace))
            found.append((each.kind, await client.raw.get(each.kind, each.name, place)))
        wanted = [] if named else targets(resources)
        chosen_one_way(wanted, by_label=bool(selector), all_namespaces=all_namespaces)
        for kind, name in wanted:
            place = space if kind.namespaced else ""
            if name:
                found += [(kind, item) for item in await _named_or_alike(client, kind, name, place)]
            else:
                page = await client.raw.list(kind, place, label_selector=selector)
                found += [(kind, item) for item in page.items]
        if not found:
            sys.stderr.write(f"No resources found{f' in {space} namespace' if space else ''}.\n")
        for number, (kind, item) in enumerate(found):
            uid = at(item, "metadata.uid")
            place = at(item, "metadata.namespace")
            events = await client.raw.list(EVENT, place, field_selector=f"involvedObject.uid={uid}")
            more = await _belonging(client, kind, item)
            if number:
                output.write("\n")
            output.write(tables.printable(describe(kind, item, list(events.items), output.now(), more=more)))

    own.run(work)


async def _named_or_alike(client: GrpcClient, kind: Kind, name: str, space: str) -> list[dict[str, Any]]:
    """The object of that name, else those whose names begin with it. Raises NotFound."""
    try:
        return [await client.raw.get(kind, name, space)]
    except NotFound:
        page = await client.raw.list(kind, space)
        found = [item for item in page.items if at(item, "metadata.name").startswith(name)]
        if not found:
            raise
        return found


async def _belonging(client: GrpcClient, kind: Kind, item: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is described with an object: a node's pods, a Deployment's ReplicaSets, a namespace's quotas and limits."""
    name, space = at(item, "metadata.name"), at(item, "metadata.namespace")
    if kind.kind == "Node":
        return list((await client.raw.list(POD, field_selector=f"spec.nodeName={name}")).items)
    if kind.kind == "Deployment":
        labels = at(item, "spec.selector.matchLabels", {})
        wanted = ",".join(f"{label}={value}" for label, value in labels.items())
        return list((await client.raw.list(REPLICA_SET, space, label_selector=wanted)).items)
    if kind.kind == "Namespace":
        return [each for of_it in (QUOTA, LIMITS) for each in (await client.raw.list(of_it, name)).items]
    return []


@click.command(cls=Verb, name="events", epilog="\b\nExamples:\n  knarr events -A\n  knarr events --for pod/web-1 -w")
@namespace_option
@all_namespaces_option
@click.option("--for", "about", default="", metavar="KIND/NAME", help="Only about this object.")
@click.option("--types", default="", help="Normal, Warning")
@click.option("-w", "--watch", is_flag=True, help="Go on with every new event.")
@click.pass_context
def events_command(
    ctx: click.Context, namespace: str, all_namespaces: bool, about: str, types: str, watch: bool
) -> None:
    """Show events, the newest last."""
    own = session(ctx)
    space = "" if all_namespaces else own.namespace(namespace)
    terms = []
    if about:
        kind, name = one_target((about,))
        terms += [f"involvedObject.kind={kind.kind}", f"involvedObject.name={name}"]
    kinds_of_event = {word.strip().capitalize() for word in types.split(",")} if types else set()
    if not kinds_of_event <= {"Normal", "Warning"}:
        raise Invalid("valid --types are Normal or Warning")
    if len(kinds_of_event) == 1:
        terms += [f"type={one}" for one in kinds_of_event]
    fields = ",".join(terms)
    printer = Printer("", space, all_namespaces, False, True, several=False)

    async def work(client: GrpcClient) -> None:
        page = await client.raw.list(EVENT, space, field_selector=fields)
        items = sorted(page.items, key=event_order)
        printer.show({EVENT: items}, single=False)
        sys.stdout.flush()
        if watch:
            await follow(client, EVENT, space, "", fields, page.resource_version, printer, limit_s=own.watch_limit_s)

    own.run(work)


commands: tuple[click.Command, ...] = (
    get_command,
    describe_command,
    events_command,
)
