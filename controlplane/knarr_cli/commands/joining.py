"""``token``: what machines join the cluster with."""

from __future__ import annotations

from typing import Any

import click
import grpc
import grpc.aio

from knarr_api import grpc_status
from knarr_cli import output
from knarr_cli.session import seconds, session
from knarr_cli.verb import VerbGroup
from knarr_client.grpc import GrpcClient
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc


@click.group("token", cls=VerbGroup)
def token_group() -> None:
    """Tokens with which machines join the cluster."""


@token_group.command("create", epilog="\b\nExamples:\n  knarr token create --ttl 2h --description rack-3")
@click.option("--ttl", default="24h", show_default=True, metavar="DURATION", help="How long it is good.")
@click.option("--description", default="", help="For people, shown by 'token list'.")
@click.option("--node-name", default="", help="The only node name it is good for.")
@click.option("--print-join-command", is_flag=True, help="The whole command for the new machine.")
@click.pass_context
def token_create(ctx: click.Context, ttl: str, description: str, node_name: str, print_join_command: bool) -> None:
    """Make a token and print it; it can't be shown again."""
    own = session(ctx)

    async def work(client: GrpcClient) -> None:
        stub: Any = nodes_pb2_grpc.NodesStub(client.channel)
        request = nodes_pb2.CreateTokenRequest(
            ttl_seconds=int(seconds(ttl)), description=description, node_name=node_name
        )
        answer = await _call(stub.CreateToken, request)
        if print_join_command:
            output.write(f"knarr node join --server {own.access.endpoints[0]} --token {answer.token}")
        else:
            output.write(answer.token)

    own.run(work)


@token_group.command("list", epilog="\b\nExamples:\n  knarr token list")
@click.pass_context
def token_list(ctx: click.Context) -> None:
    """Show which tokens there are, without their secrets."""

    async def work(client: GrpcClient) -> None:
        stub: Any = nodes_pb2_grpc.NodesStub(client.channel)
        answer = await _call(stub.ListTokens, nodes_pb2.ListTokensRequest())
        rows = [
            [token.id, token.expires_at.ToJsonString(), token.node_name or "<any>", token.description]
            for token in answer.tokens
        ]
        output.table(["ID", "EXPIRES", "NODE", "DESCRIPTION"], rows)

    session(ctx).run(work)


@token_group.command(
    "revoke", epilog="\b\nExamples:\n  knarr token revoke 8k2m4x   # the ID that 'knarr token list' shows"
)
@click.argument("identifier", metavar="ID")
@click.pass_context
def token_revoke(ctx: click.Context, identifier: str) -> None:
    """Make a token useless."""

    async def work(client: GrpcClient) -> None:
        stub: Any = nodes_pb2_grpc.NodesStub(client.channel)
        await _call(stub.RevokeToken, nodes_pb2.RevokeTokenRequest(id=identifier))
        output.write(f"token {identifier} revoked")

    session(ctx).run(work)


async def _call(method: Any, request: Any) -> Any:
    try:
        return await method(request, timeout=30.0)
    except grpc.aio.AioRpcError as error:
        raise grpc_status.from_rpc(error) from error


commands: tuple[click.Command, ...] = (token_group,)
