"""``knarr.v1.Nodes`` and ``knarr.v1.Join``: tokens and certificates."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from knarr_api.errors import AlreadyExists, Forbidden, Invalid, ResourceExhausted
from knarr_api.validation import names
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.pki import identity
from knarr_controlplane.pki.authority import Authority
from knarr_controlplane.pki.tokens import TokenRecord, Tokens
from knarr_controlplane.server.calls import unary
from knarr_proto.v1 import nodes_pb2, nodes_pb2_grpc

MAX_JOINS = 16
"""At a time: checking a token costs some milliseconds of CPU on purpose."""


class Nodes(nodes_pb2_grpc.NodesServicer):
    def __init__(
        self,
        tokens: Tokens,
        authority: Authority,
        authorizer: Authorizer,
        endpoints: tuple[str, ...],
        now: Callable[[], datetime],
    ) -> None:
        self._tokens = tokens
        self._authority = authority
        self._authorizer = authorizer
        self._endpoints = endpoints
        self._now = now

    @unary
    async def CreateToken(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "create join tokens")
        if request.ttl_seconds < 0:
            raise Invalid(f"ttl_seconds: Invalid value: {request.ttl_seconds}: must be greater than or equal to 0")
        _check_name(request.node_name, may_be_empty=True)
        token, record = await self._tokens.create(
            ttl_s=request.ttl_seconds, description=request.description[:256], node_name=request.node_name
        )
        return nodes_pb2.CreateTokenResponse(token=token, info=_info(record))

    @unary
    async def ListTokens(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "list join tokens")
        return nodes_pb2.ListTokensResponse(tokens=[_info(record) for record in await self._tokens.list()])

    @unary
    async def RevokeToken(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "revoke join tokens")
        await self._tokens.revoke(request.id)
        return nodes_pb2.RevokeTokenResponse()

    @unary
    async def Renew(self, request: Any, context: Any) -> Any:
        name = identity.of_call(context).node_name
        if not name:
            raise Forbidden("only nodes renew their certificates here")
        certificate = self._authority.sign_node(request.csr_pem, name, self._now())
        return _response(self._authority, certificate, self._endpoints)


class Join(nodes_pb2_grpc.JoinServicer):
    """On the join port: whoever calls has only a token."""

    def __init__(
        self,
        tokens: Tokens,
        authority: Authority,
        endpoints: tuple[str, ...],
        now: Callable[[], datetime],
        is_alive: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """is_alive: whether a node of that name reports now."""
        self._is_alive = is_alive
        self._tokens = tokens
        self._authority = authority
        self._endpoints = endpoints
        self._now = now
        self._slots = asyncio.Semaphore(MAX_JOINS)

    @unary
    async def Join(self, request: Any, context: Any) -> Any:
        if self._slots.locked():
            raise ResourceExhausted("too many nodes join at once: try again", retry_after_s=1.0)
        async with self._slots:
            _check_name(request.node_name)
            await self._tokens.check(request.token, request.node_name)
            if self._is_alive(request.node_name):
                raise AlreadyExists(
                    f'a node "{request.node_name}" is in the cluster and reports: choose another name, or stop its '
                    "agent first"
                )
            certificate = self._authority.sign_node(request.csr_pem, request.node_name, self._now())
            return _response(self._authority, certificate, self._endpoints)


def _check_name(name: str, *, may_be_empty: bool = False) -> None:
    problems = list(names.dns_subdomain("node_name", name)) if name or not may_be_empty else []
    if problems:
        raise Invalid(str(problems[0]), details=problems)


def _response(authority: Authority, certificate: bytes, endpoints: tuple[str, ...]) -> Any:
    return nodes_pb2.CertificateResponse(certificate_pem=certificate, ca_pem=authority.pem, endpoints=endpoints)


def _info(record: TokenRecord) -> Any:
    expires_at = Timestamp()
    expires_at.FromDatetime(record.expires_at)
    return nodes_pb2.Token(
        id=record.id, description=record.description, node_name=record.node_name, expires_at=expires_at
    )
