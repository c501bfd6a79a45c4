"""Tokens of pods' ServiceAccounts: asked for when a pod needs them, and again when four fifths of their time are over.

They are kept on the tmpfs for secrets, so that an agent that starts while the control plane is away goes on with what
it had. A token that can't be renewed stays until it can.
"""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import msgspec
import structlog

from knarr_api import grpc_status, json
from knarr_api.errors import Invalid, KnarrError, NotFound, Unavailable
from knarr_api.types.authentication_v1 import BoundObjectReference, TokenRequest, TokenRequestSpec
from knarr_api.types.core_v1 import Pod, ServiceAccountTokenProjection
from knarr_client.clock import Clock
from knarr_proto.v1 import accounts_pb2, accounts_pb2_grpc

DEFAULT_S = 3600
RENEW_AT = 0.8
LONGEST_S = 24 * 3600
"""Also tokens that last longer are renewed once a day."""
FILE = "tokens.json"
TIMEOUT_S = 10.0
Wish = tuple[str, int]
"""Audience (empty: the API) and how long it shall last, in seconds."""
Ask = Callable[[str, str, TokenRequest], Awaitable[TokenRequest]]
"""A token for (namespace, account): the request with its status. Raises KnarrError."""


class Held(msgspec.Struct, frozen=True):
    """A token that was given, and when the next one is due."""

    audience: str
    lasts_s: int
    token: str
    renew_at: datetime.datetime


class _File(msgspec.Struct, frozen=True):
    tokens: tuple[Held, ...] = ()


def wish_of(source: ServiceAccountTokenProjection) -> Wish:
    return source.audience, source.expiration_seconds or DEFAULT_S


def wishes(pod: Pod) -> frozenset[Wish]:
    """What the pod's volumes hold tokens of. Pure."""
    return frozenset(_wishes(pod))


def _wishes(pod: Pod) -> Iterator[Wish]:
    for volume in pod.spec.volumes:
        for source in volume.projected.sources if volume.projected is not None else ():
            if source.service_account_token is not None:
                yield wish_of(source.service_account_token)


def renewal(asked_at: datetime.datetime, expires_at: datetime.datetime) -> datetime.datetime:
    """When to ask for the next. Pure."""
    life_s = max((expires_at - asked_at).total_seconds(), 0.0)
    return asked_at + datetime.timedelta(seconds=min(life_s * RENEW_AT, LONGEST_S))


class PodTokens:
    """memory: the directory for secrets."""

    def __init__(self, ask: Ask, memory: Path, clock: Clock) -> None:
        self._ask = ask
        self._memory = memory
        self._clock = clock
        self._held: dict[str, dict[Wish, Held]] = {}
        """By the pod's uid."""

    async def of(self, pod: Pod) -> dict[Wish, str]:
        """All that the pod's volumes need. Raises what asking raises, for a token that there never was."""
        wanted = wishes(pod)
        if not wanted:
            return {}
        uid, now = pod.metadata.uid, self._clock.now()
        held = self._held.get(uid)
        if held is None:
            held = self._load(uid)
        kept = {wish: each for wish, each in held.items() if wish in wanted}
        for wish in sorted(wanted):
            present = kept.get(wish)
            if present is not None and now < present.renew_at:
                continue
            try:
                kept[wish] = await self._new(pod, wish)
            except KnarrError as error:
                if present is None:
                    raise
                name = f"Pod/{pod.metadata.namespace}/{pod.metadata.name}"
                structlog.get_logger("knarr.tokens").warning("a token is not renewed", object=name, error=str(error))
        if kept != held:
            self._save(uid, kept)
        self._held[uid] = kept
        return {wish: each.token for wish, each in kept.items()}

    def forget(self, uid: str) -> None:
        self._held.pop(uid, None)
        (self._memory / uid / FILE).unlink(missing_ok=True)

    async def _new(self, pod: Pod, wish: Wish) -> Held:
        audience, lasts_s = wish
        metadata, asked_at = pod.metadata, self._clock.now()
        bound = BoundObjectReference(api_version="v1", kind="Pod", name=metadata.name, uid=metadata.uid)
        spec = TokenRequestSpec(
            audiences=(audience,) if audience else (), expiration_seconds=lasts_s, bound_object_ref=bound
        )
        account = pod.spec.service_account_name or "default"
        answer = await self._ask(metadata.namespace, account, TokenRequest(spec=spec))
        if not answer.status.token or answer.status.expiration_timestamp is None:
            raise Invalid(f'the answer to the request for a token of "{account}" has none')
        due = renewal(asked_at, answer.status.expiration_timestamp)
        return Held(audience, lasts_s, answer.status.token, due)

    def _load(self, uid: str) -> dict[Wish, Held]:
        try:
            found = json.decode((self._memory / uid / FILE).read_bytes(), _File)
        except (OSError, Invalid):
            return {}
        return {(each.audience, each.lasts_s): each for each in found.tokens}

    def _save(self, uid: str, held: dict[Wish, Held]) -> None:
        directory = self._memory / uid
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = directory / f".{FILE}.tmp"
        temporary.unlink(missing_ok=True)
        temporary.touch(mode=0o600)
        temporary.write_bytes(json.encode(_File(tokens=tuple(held.values()))))
        temporary.replace(directory / FILE)


def asking(channel: grpc.aio.Channel) -> Ask:
    """Over the node's own connection."""
    stub: Any = accounts_pb2_grpc.AccountsStub(channel)

    async def ask(namespace: str, account: str, request: TokenRequest) -> TokenRequest:
        message = accounts_pb2.AccountTokenRequest(namespace=namespace, name=account, request_json=json.encode(request))
        try:
            answer = await stub.CreateToken(message, timeout=TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            raise _named(grpc_status.from_rpc(error), namespace, account) from error
        return json.decode(answer.request_json, TokenRequest)

    return ask


def _named(error: KnarrError, namespace: str, account: str) -> KnarrError:
    """As what a volume can't be made without: what is missing, refused or away."""
    text = f"failed to fetch token of serviceaccount {namespace}/{account}: {error.message}"
    return NotFound(text) if isinstance(error, NotFound) else Unavailable(text)
