"""What the API knows: ``api-resources``, ``api-versions``, ``explain``, ``version``, ``cluster-info``, ``auth``."""

from __future__ import annotations

from typing import Any

import click
import grpc
import grpc.aio

from knarr_api import grpc_status, json, kinds
from knarr_api.errors import Invalid, NotFound
from knarr_api.kinds import Kind
from knarr_cli import completing, explaining, output
from knarr_cli.cells import at
from knarr_cli.options import all_namespaces_option, namespace_option
from knarr_cli.session import ALL, session, warn
from knarr_cli.verb import Verb, VerbGroup
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import accounts_pb2, accounts_pb2_grpc, cluster_pb2, cluster_pb2_grpc

VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
KNOWN_VERBS = {*VERBS, "*", "approve", "attest", "bind", "escalate", "impersonate", "sign", "use"}
READING = ("get", "list")
"""Of kinds that are computed."""
SUBRESOURCES = (
    *("status", "scale", "eviction", "binding", "log", "token", "approval", "finalize"),
    *("exec", "attach", "portforward", "proxy", "ephemeralcontainers", "resize"),
)


def preferred() -> list[Kind]:
    """Every kind once, in the version that is stored."""
    found: dict[tuple[str, str], Kind] = {}
    for kind in (*kinds.KINDS, *kinds.COMPUTED):
        found.setdefault((kind.group, kind.kind), kind)
    return list(found.values())


@click.command(
    cls=Verb,
    name="api-resources",
    epilog="""\b
Examples:
  knarr api-resources
  knarr api-resources -o wide                      # with their verbs, and which are acted on
  knarr api-resources --namespaced=false --api-group rbac.authorization.k8s.io
  knarr api-resources --verbs list,watch -o name""",
)
@click.option("--api-group", default=None, help="Only of this group; empty: the core group.")
@click.option("--namespaced", type=click.BOOL, is_flag=False, flag_value="true", help="Only those that are, or not.")
@click.option("--verbs", default="", metavar="VERB,…", help="Only those with all of these.")
@click.option("--categories", default="", help="Only those of a category: all.")
@click.option("--no-headers", is_flag=True, help="Rows only.")
@click.option("--sort-by", type=click.Choice(["", "name", "kind"]), default="", help="name or kind")
@click.option("-o", "--output", "form", type=click.Choice(["", "wide", "name"]), default="", help="wide or name")
def api_resources_command(
    api_group: str | None,
    namespaced: bool | None,
    verbs: str,
    categories: str,
    no_headers: bool,
    sort_by: str,
    form: str,
) -> None:
    """Show which kinds there are."""
    wanted = {verb for verb in verbs.split(",") if verb}
    rows = []
    for kind in preferred():
        able = READING if kind in kinds.COMPUTED else VERBS
        within = "all" if kind.resource in ALL and kind not in kinds.COMPUTED else ""
        if (
            (api_group is not None and kind.group != api_group)
            or (namespaced is not None and kind.namespaced != namespaced)
            or not wanted <= set(able)
            or (categories and categories != within)
        ):
            continue
        if form == "name":
            rows.append([kind.qualified])
            continue
        row = [kind.resource, ",".join(kind.short_names), kind.api_version, str(kind.namespaced).lower(), kind.kind]
        if form == "wide":
            row += [",".join(able), within, "yes" if kind.acting else "stored"]
        rows.append(row)
    if sort_by:
        rows.sort(key=lambda row: row[0] if sort_by == "name" or len(row) == 1 else row[4])
    if form == "name":
        output.write("\n".join(row[0] for row in rows))
        return
    titles = ["NAME", "SHORTNAMES", "APIVERSION", "NAMESPACED", "KIND"]
    titles += ["VERBS", "CATEGORIES", "ACTED ON"] if form == "wide" else []
    output.table(titles, rows, headers=not no_headers)


@click.command(cls=Verb, name="api-versions", epilog="\b\nExamples:\n  knarr api-versions")
def api_versions_command() -> None:
    """Show which versions of groups there are."""
    output.write("\n".join(sorted({kind.api_version for kind in (*kinds.KINDS, *kinds.COMPUTED)})))


@click.command(
    cls=Verb,
    name="explain",
    epilog="""\b
Examples:
  knarr explain pods
  knarr explain deployment.spec.strategy --recursive
  knarr explain hpa --api-version autoscaling/v1""",
)
@click.argument("path", metavar="KIND[.FIELD…]", shell_complete=completing.resources)
@click.option("--recursive", is_flag=True, help="Fields of fields too, by their names only.")
@click.option("--api-version", default="", metavar="GROUP/VERSION", help="[default: the stored one]")
def explain_command(path: str, recursive: bool, api_version: str) -> None:
    """Show the fields of a kind, and of what they hold."""
    output.write("\n".join(explaining.explain(path, recursive=recursive, api_version=api_version)))


@click.command(cls=Verb, name="version", epilog="\b\nExamples:\n  knarr version\n  knarr version --client")
@click.option("--client", is_flag=True, help="Only this command's.")
@click.pass_context
def version_command(ctx: click.Context, client: bool) -> None:
    """Show the versions of this command and of the cluster."""
    from importlib.metadata import version

    output.write(f"Client Version: {version('knarr')}")
    if client:
        return

    async def work(connected: GrpcClient) -> None:
        stub: Any = cluster_pb2_grpc.ClusterStub(connected.channel)
        try:
            answer = await stub.Version(cluster_pb2.VersionRequest(), timeout=10.0)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
        output.write(f"Server Version: {answer.version} (Kubernetes API {answer.kubernetes_version})")

    session(ctx).run(work)


@click.command(cls=Verb, name="cluster-info", epilog="\b\nExamples:\n  knarr cluster-info")
@click.pass_context
def cluster_info_command(ctx: click.Context) -> None:
    """Show where the API is and how it does; exit status 1 when it is not healthy."""
    own = session(ctx)

    async def work(client: GrpcClient) -> bool:
        stub: Any = cluster_pb2_grpc.ClusterStub(client.channel)
        try:
            answer = await stub.Health(cluster_pb2.HealthRequest(), timeout=10.0)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
        output.write(f"Knarr control plane is running at https://{', https://'.join(own.access.endpoints)}")
        for check in answer.checks:
            output.write(f"  {'ok  ' if check.healthy else 'FAIL'} {check.name}: {check.message}")
        return bool(answer.healthy)

    if not own.run(work):
        raise SystemExit(1)


@click.group("auth", cls=VerbGroup)
def auth_group() -> None:
    """Who you are, and what you may do."""


async def _reviewed(client: GrpcClient, method: str, document: dict[str, Any]) -> dict[str, Any]:
    stub: Any = accounts_pb2_grpc.AccountsStub(client.channel)
    try:
        answer = await getattr(stub, method)(accounts_pb2.Review(json=json.encode(document)), timeout=10.0)
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error
    review = json.load(answer.json)
    if not isinstance(review, dict):
        raise Invalid("the API answered with no review")
    return review


@auth_group.command(
    "can-i",
    epilog="""\b
Examples:
  knarr auth can-i create deployments
  knarr auth can-i get pods/log
  knarr auth can-i delete pod/web-1 -n shop
  knarr auth can-i list pods --as system:node:n1 --as-group system:nodes""",
)
@click.argument("verb")
@click.argument("resource", metavar="KIND[/NAME] | KIND/SUBRESOURCE | /URL")
@click.argument("name", default="")
@namespace_option
@all_namespaces_option
@click.option("--subresource", default="", help="status, scale, eviction, log, …")
@click.option("--field-selector", default="", help="Of a list or watch: spec.nodeName=n1")
@click.option("--as", "user", default="", metavar="USER", help="Ask about somebody else.")
@click.option("--as-group", "groups", multiple=True, metavar="GROUP", help="And what groups that user is in.")
@click.option("-q", "--quiet", is_flag=True, help="By exit status only.")
@click.pass_context
def can_i_command(
    ctx: click.Context,
    verb: str,
    resource: str,
    name: str,
    namespace: str,
    all_namespaces: bool,
    subresource: str,
    field_selector: str,
    user: str,
    groups: tuple[str, ...],
    quiet: bool,
) -> None:
    """Say whether you may do something: yes, or no with exit status 1."""
    own = session(ctx)
    if verb not in KNOWN_VERBS and not resource.startswith("/"):
        warn([f"verb '{verb}' is not a known verb"])
    if groups and not user:
        raise Invalid("requesting groups without impersonating a user: give --as as well")
    spec: dict[str, Any] = {}
    if resource.startswith("/"):
        spec["nonResourceAttributes"] = {"verb": verb, "path": resource}
    else:
        word, _, rest = resource.partition("/")
        if rest in SUBRESOURCES:
            subresource = rest
        elif rest:
            name = rest
        what: dict[str, Any] = {"verb": verb, "resource": word, "name": name, "subresource": subresource}
        try:
            kind = kinds.lookup(word)
        except NotFound:
            if word != "*":
                warn([f"the server doesn't have a resource type '{word}'"])
        else:
            what |= {"group": kind.group, "version": kind.version, "resource": kind.resource}
            if kind.namespaced and not all_namespaces:
                what["namespace"] = own.namespace(namespace)
        if field_selector:
            what["fieldSelector"] = {"rawSelector": field_selector}
        spec["resourceAttributes"] = {field: value for field, value in what.items() if value}
    review: dict[str, Any] = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": spec}
    if user or groups:
        review |= {"kind": "SubjectAccessReview", "spec": {**spec, "user": user, "groups": list(groups)}}
    status = own.run(lambda client: _reviewed(client, "ReviewAccess", review)).get("status") or {}
    if not quiet:
        reason = f" - {status['reason']}" if status.get("reason") else ""
        output.write("yes" if status.get("allowed") else f"no{reason}")
    if not status.get("allowed"):
        raise SystemExit(1)


@auth_group.command("whoami", epilog="\b\nExamples:\n  knarr auth whoami")
@click.option("-o", "--output", "form", type=click.Choice(["", "json", "yaml"]), default="", help="json or yaml")
@click.pass_context
def whoami_command(ctx: click.Context, form: str) -> None:
    """Show as whom the API knows you."""

    review = session(ctx).run(lambda client: _reviewed(client, "WhoAmI", {}))
    if form:
        output.document(form, review)
        return
    user = at(review, "status.userInfo", {})
    rows = [["Username", str(user.get("username", ""))]]
    if user.get("uid"):
        rows.append(["UID", str(user["uid"])])
    rows.append(["Groups", f"[{' '.join(user.get('groups') or ())}]"])
    rows += [[f"Extra: {name}", f"[{' '.join(values)}]"] for name, values in (user.get("extra") or {}).items()]
    output.table(["ATTRIBUTE", "VALUE"], rows)


commands: tuple[click.Command, ...] = (
    api_resources_command,
    api_versions_command,
    explain_command,
    version_command,
    cluster_info_command,
    auth_group,
)
