"""``create token``."""

from __future__ import annotations

from typing import Any

import click
import grpc
import grpc.aio

from knarr_api import grpc_status, json
from knarr_api.errors import Invalid
from knarr_cli import output
from knarr_cli.cells import at
from knarr_cli.generators import Document
from knarr_cli.options import namespace_option
from knarr_cli.session import seconds, session
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import accounts_pb2, accounts_pb2_grpc


@click.command(
    "token",
    cls=Verb,
    epilog="\b\nExamples:\n  knarr create token robot --duration 1h --audience https://x",
)
@click.argument("account", metavar="SERVICE_ACCOUNT")
@click.option("--audience", "audiences", multiple=True, help="Who takes it.  [default: the API]")
@click.option("--duration", default="", metavar="DURATION", help="How long it is good.  [default: 1h]")
@click.option("--bound-object-kind", "kind", default="", help="What it ends with: Pod.")
@click.option("--bound-object-name", "name", default="", help="Its name.")
@click.option("--bound-object-uid", "uid", default="", help="Its uid, if that matters.")
@namespace_option
@click.option("-o", "--output", "form", type=click.Choice(["", "json", "yaml"]), default="", help="json or yaml")
@click.pass_context
def token_command(
    ctx: click.Context,
    account: str,
    audiences: tuple[str, ...],
    duration: str,
    kind: str,
    name: str,
    uid: str,
    namespace: str,
    form: str,
) -> None:
    """Print a new token of a service account."""
    if bool(kind) != bool(name):
        option = "--bound-object-name" if kind else "--bound-object-kind"
        raise Invalid(f"{option} is required if the other is provided")
    if uid and not kind:
        raise Invalid("--bound-object-uid can only be set if --bound-object-kind is provided")
    spec: Document = {}
    if audiences:
        spec["audiences"] = list(audiences)
    if duration:
        lasts_s = seconds(duration)
        if lasts_s <= 0 or lasts_s != int(lasts_s):
            raise Invalid("--duration must be greater than 0 and whole seconds")
        spec["expirationSeconds"] = int(lasts_s)
    if kind:
        reference = {"kind": kind, "apiVersion": "v1", "name": name, **({"uid": uid} if uid else {})}
        spec["boundObjectRef"] = reference
    own = session(ctx)

    async def work(client: GrpcClient) -> Document:
        request = accounts_pb2.AccountTokenRequest(
            namespace=own.namespace(namespace), name=account, request_json=json.encode({"spec": spec})
        )
        stub: Any = accounts_pb2_grpc.AccountsStub(client.channel)
        try:
            answer = await stub.CreateToken(request, timeout=30.0)
        except grpc.aio.AioRpcError as error:
            raise grpc_status.from_rpc(error) from error
        made = json.load(answer.request_json)
        assert isinstance(made, dict)
        return made

    made = own.run(work)
    if form:
        output.document(form, made)
    else:
        output.write(at(made, "status.token"))


commands: tuple[click.Command, ...] = (token_command,)
