"""``history`` and ``undo``: what an object has been, who changed it, and back again."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

import click
import grpc.aio

from knarr_api import grpc_status, kinds
from knarr_api.errors import Invalid, KnarrError
from knarr_api.kinds import Kind
from knarr_cli import cells, output, tables
from knarr_cli.options import namespace_option
from knarr_cli.selecting import resources_argument
from knarr_cli.session import one_target, seconds, session, shown
from knarr_cli.undoing import ABSENT, Field, Undoing, anew
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_client.messages import resource_type
from knarr_client.raw import Answer
from knarr_proto.v1 import history_pb2, history_pb2_grpc

TIMEOUT_S = 30.0
MAX_VALUE, MAX_CHANGES = 60, 6
APPLIERS = frozenset({"knarr", "knarr-client-side-apply", "kubectl", "kubectl-client-side-apply"})
"""Who writes what ``knarr apply`` and ``kubectl apply`` are told."""
MANAGER = "knarr-undo"
REMOVED = "Delete"
"""The operation of what is no version, but the end of them."""
UNDONE = ("labels", "annotations", "finalizers", "ownerReferences")
"""Of metadata."""


@click.command(
    cls=Verb,
    name="history",
    epilog="""\b
Examples:
  knarr history deployment web
  knarr history configmap/settings --limit 50
  knarr history node n1 --all                      # changes of the status alone, too
  knarr history deployment web -o yaml             # every version, whole""",
)
@resources_argument(name="resource", required=True)
@namespace_option
@click.option("--limit", type=click.IntRange(1, 500), default=20, show_default=True, help="Versions, the newest first.")
@click.option("--all", "everything", is_flag=True, help="Also changes of the status alone.")
@click.option("-o", "--output", "form", default="", metavar="FORM", help="wide, json or yaml.")
@click.pass_context
def history_command(
    ctx: click.Context, resource: tuple[str, ...], namespace: str, limit: int, everything: bool, form: str
) -> None:
    """Show what an object has been: when it changed, who changed it, and which fields.

    The store keeps old versions for a while: 'knarr up --retention'.
    """
    own = session(ctx)
    kind, name = one_target(resource)

    async def work(client: GrpcClient) -> Any:
        space = own.namespace(namespace) if kind.namespaced else ""
        return await versions(client, kind, space, name, limit, without_status=not everything)

    answer = own.run(work)
    if form in ("json", "yaml"):
        items = [json.loads(each.object.json) for each in answer.versions if each.operation != REMOVED]
        output.document(form, {"apiVersion": "v1", "kind": "List", "items": items})
        return
    now = datetime.datetime.now(datetime.UTC)
    rows = []
    for version in answer.versions:
        age = cells.age(version.time.ToJsonString(), now) if version.HasField("time") else "-"
        changes = list(version.changes)
        said = [_said(change, wide=form == "wide") for change in changes[: None if form == "wide" else MAX_CHANGES]]
        if len(changes) > len(said):
            said.append(f"and {len(changes) - len(said)} more")
        who = version.manager or "-"
        how = version.operation + (f" {version.subresource}" if version.subresource else "")
        rows.append((version.resource_version, age, who, how or "-", said[0] if said else ""))
        rows += [("", "", "", "", text) for text in said[1:]]
    output.table(("REVISION", "AGE", "MANAGER", "OPERATION", "CHANGED"), rows)
    if answer.left_out:
        output.write(f"… {answer.left_out} changes of the status alone are left out: --all")
    if not answer.complete:
        output.write("… older versions are not kept any more, or not shown: --limit")


@click.command(
    cls=Verb,
    name="undo",
    epilog="""\b
Examples:
  knarr undo deployment web                        # take back what the last apply changed
  knarr undo deployment web --dry-run              # say what would change; with -o yaml: the object as it would be
  knarr undo configmap/settings --revision 52479   # take back another change, see 'knarr history'
  knarr undo secret/keys                           # after a delete: make it again as it was""",
)
@resources_argument(name="resource", required=True)
@namespace_option
@click.option("--revision", default="", help="Of the change to take back.  [default: the last apply's]")
@click.option("--dry-run", is_flag=True, help="Change nothing.")
@click.option("--force", is_flag=True, help="Take back also what was changed again since.")
@click.option("-o", "--output", "form", default="", metavar="FORM", help="json, yaml or name: the object after it.")
@click.pass_context
def undo_command(
    ctx: click.Context,
    resource: tuple[str, ...],
    namespace: str,
    revision: str,
    dry_run: bool,
    force: bool,
    form: str,
) -> None:
    """Take back what an apply changed, or a deletion. What others have changed since stays.

    Where the very same field was changed again since, it says so, with who did it, and changes nothing.
    """
    own = session(ctx)
    kind, name = one_target(resource)
    space = own.namespace(namespace) if kind.namespaced else ""

    async def work(client: GrpcClient) -> None:
        answer = await versions(client, kind, space, name, 500)
        if answer.versions[0].operation == REMOVED:
            made = await _make_again(client, answer, revision, shown(kind, name), dry_run=dry_run)
            if form in ("json", "yaml"):
                output.document(form, made.object)
                return
            output.write(
                shown(kind, name) if form == "name" else f"{shown(kind, name)} created" + " (dry run)" * dry_run
            )
            return
        number = _to_undo(answer, revision, shown(kind, name))
        after = json.loads(answer.versions[number].object.json)
        before = json.loads(answer.versions[number + 1].object.json)
        live = json.loads(answer.versions[0].object.json)
        if not reverted(before, after):
            raise Invalid(f"{shown(kind, name)}: that write changed nothing that could be taken back")
        undoing = Undoing(force=force)
        wanted = undoing.take_back(_users(before), _users(after), _users(live))
        if undoing.conflicts:
            raise Invalid("\n".join(_refusal(shown(kind, name), undoing, answer.versions[:number])))
        patch = reverted(wanted, live)
        if not patch:
            raise Invalid(f"{shown(kind, name)}: what that write changed is as it was before already")
        guard = {"metadata": {**patch.get("metadata", {}), "resourceVersion": live["metadata"]["resourceVersion"]}}
        done = await client.raw.patch(
            kind, name, space, patch={**patch, **guard}, field_manager=MANAGER, dry_run=dry_run
        )
        if form in ("json", "yaml"):
            output.document(form, done.object)
            return
        for one in () if form == "name" else undoing.back:
            output.write(f"  {_said(_message(one))}")
        output.write(shown(kind, name) if form == "name" else f"{shown(kind, name)} undone" + " (dry run)" * dry_run)

    own.run(work)


commands = (history_command, undo_command)


async def _make_again(client: GrpcClient, answer: Any, revision: str, what: str, *, dry_run: bool) -> Answer:
    """A deleted object as it was before it was marked for that. Its owners, where they are gone, it is without."""
    at = answer.versions[0].resource_version
    if revision not in ("", at):
        raise Invalid(f"{what} was deleted in revision {at}: take that back first")
    found = [json.loads(version.object.json) for version in answer.versions[1:]]
    last = next((each for each in found if "deletionTimestamp" not in each["metadata"]), found[0])
    owners = []
    for owner in last["metadata"].get("ownerReferences", ()):
        try:
            of_kind = kinds.by_kind(owner["apiVersion"], owner["kind"])
            place = last["metadata"].get("namespace", "") if of_kind.namespaced else ""
            present = await client.raw.get(of_kind, owner["name"], place)
        except KnarrError:
            continue
        owners.append(present["metadata"]["uid"])
    space = last["metadata"].get("namespace", "")
    made = await client.raw.create(anew(last, owners), namespace=space, field_manager=MANAGER, dry_run=dry_run)
    owned = [each for each in last["metadata"].get("managedFields", ()) if not each.get("subresource")]
    if owned and not dry_run:  # its fields belong to whom they belonged
        kind = kinds.by_kind(last["apiVersion"], last["kind"])
        patch = {"metadata": {"managedFields": owned}}
        made = await client.raw.patch(kind, last["metadata"]["name"], space, patch=patch, field_manager=MANAGER)
    return made


async def versions(
    client: GrpcClient, kind: Kind, namespace: str, name: str, limit: int, *, without_status: bool = False
) -> Any:
    request = history_pb2.VersionsRequest(
        type=resource_type(kind), namespace=namespace, name=name, limit=limit, without_status=without_status
    )
    stub: Any = history_pb2_grpc.HistoryStub(client.channel)
    try:
        return await stub.Versions(request, timeout=TIMEOUT_S)
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error


async def revision_at(client: GrpcClient, text: str) -> str:
    """The revision at ``10m`` (ago) or an RFC 3339 time. Raises Invalid, Expired."""
    request = history_pb2.AtRequest()
    request.time.FromDatetime(moment(text, datetime.datetime.now(datetime.UTC)))
    stub: Any = history_pb2_grpc.HistoryStub(client.channel)
    try:
        return str((await stub.At(request, timeout=TIMEOUT_S)).resource_version)
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error


def moment(text: str, now: datetime.datetime) -> datetime.datetime:
    """``10m``, ``2d12h`` ago, or an RFC 3339 time. Raises Invalid."""
    if text[:4].isdigit() and "-" in text:
        try:
            given = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise Invalid(f'--at "{text}": expected a duration like 10m, or a time like 2030-01-31T12:00:00Z') from None
        return given if given.tzinfo is not None else given.replace(tzinfo=now.tzinfo)
    days, d, rest = text.partition("d")
    if d and days.isdecimal():
        return now - datetime.timedelta(days=int(days), seconds=seconds(rest) if rest else 0)
    return now - datetime.timedelta(seconds=seconds(text))


def reverted(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch from ``after`` to ``before``, of what users write. Pure; lists go back whole."""
    patch = {
        name: value
        for name, value in _patch(before, after).items()
        if name not in ("status", "metadata", "apiVersion", "kind")
    }
    metadata = _patch(_metadata(before), _metadata(after))
    return {**patch, "metadata": metadata} if metadata else patch


def _users(document: Mapping[str, Any]) -> dict[str, Any]:
    """What of an object users write."""
    own = {name: value for name, value in document.items() if name not in ("status", "metadata", "apiVersion", "kind")}
    return {**own, "metadata": _metadata(document)}


def _refusal(what: str, undoing: Undoing, since: Any) -> Iterator[str]:
    """Which fields were changed again, by whom."""
    yield f"{what}: what that write changed was changed again since; --force takes it back nevertheless:"
    for one in undoing.conflicts:
        line = f"  {_said(_message(Field(one.path, one.present, one.other)))}"
        by = next((v for v in since for change in v.changes if change.path.startswith(one.path)), None)
        yield f"{line}, by {by.manager or 'unknown'} in revision {by.resource_version}" if by is not None else line


def _message(one: Field) -> Any:
    message = history_pb2.FieldChange(path=one.path)
    if one.present is not ABSENT:
        message.before = json.dumps(one.present).encode()
    if one.other is not ABSENT:
        message.after = json.dumps(one.other).encode()
    return message


def _metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.get("metadata", {}).items() if name in UNDONE}


def _patch(wanted: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    for name in present.keys() | wanted.keys():
        one, other = wanted.get(name), present.get(name)
        if one == other:
            continue
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            patch[name] = _patch(one, other)
        else:
            patch[name] = one
    return patch


def _to_undo(answer: Any, revision: str, what: str) -> int:
    """Which version is to be taken back; there is one before it."""
    for number, version in enumerate(answer.versions):
        if revision and version.resource_version != revision:
            continue
        if not revision and not (
            (version.operation == "Apply" or version.manager in APPLIERS) and not version.subresource
        ):
            continue
        if version.operation == "Create":
            raise Invalid(f"{what} was created by that write: 'knarr delete' takes it back")
        if number + 1 == len(answer.versions):
            raise Invalid(f"{what}: what was before is not kept any more")
        return number
    if revision:
        raise Invalid(f"{what}: revision {revision} is none of its versions, or not kept any more: see 'knarr history'")
    raise Invalid(f"{what}: no apply is recorded in what is kept of it: see 'knarr history'")


def _said(change: Any, *, wide: bool = False) -> str:
    """``spec.replicas: 3 → 5``."""
    before, after = (_short(value, wide=wide) for value in (change.before, change.after))
    if not change.before:
        return f"{change.path}: {after} (new)"
    if not change.after:
        return f"{change.path}: {before} (gone)"
    return f"{change.path}: {before} → {after}"


def _short(value: bytes, *, wide: bool) -> str:
    text = tables.printable(value.decode(errors="replace"))
    return text if wide or len(text) <= MAX_VALUE else text[: MAX_VALUE - 1] + "…"
