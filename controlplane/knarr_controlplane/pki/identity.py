"""Who calls, from the certificate of the connection."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache

import grpc
from cryptography import x509
from cryptography.x509.oid import NameOID

from knarr_api.errors import Unauthenticated
from knarr_controlplane.pki.authority import NODE_GROUP, NODE_PREFIX

ADMINS = "system:masters"


@dataclass(frozen=True, slots=True)
class Identity:
    """A verified name and its groups."""

    name: str
    groups: frozenset[str] = frozenset()
    uid: str = ""

    @property
    def is_admin(self) -> bool:
        return ADMINS in self.groups

    @property
    def node_name(self) -> str:
        """The node that this is, or empty."""
        is_node = NODE_GROUP in self.groups and self.name.startswith(NODE_PREFIX)
        return self.name.removeprefix(NODE_PREFIX) if is_node else ""


BEARER: ContextVar[Identity | Unauthenticated | None] = ContextVar("bearer", default=None)
"""Who has called with a token; set before the call's method runs, where callers have no certificates."""
CONTROL_PLANE = Identity("system:knarr-controlplane", frozenset({ADMINS}))
"""What the control plane's own parts act as."""


def of_call(context: grpc.aio.ServicerContext) -> Identity:  # type: ignore[type-arg]
    """The caller of a gRPC method: gRPC has verified the certificate's chain, ``serving`` a token.

    Raises Unauthenticated without either.
    """
    pem = next(iter(context.auth_context().get("x509_pem_cert", ())), b"")
    if not pem:
        bearer = BEARER.get()
        if isinstance(bearer, Identity):
            return bearer
        if bearer is not None:
            raise Unauthenticated(bearer.message)
        raise Unauthenticated("the connection has no client certificate")
    return of_certificate(pem if isinstance(pem, bytes) else pem.encode())


@lru_cache(maxsize=4096)
def of_certificate(pem: bytes) -> Identity:
    """Common name and organisations of a certificate that was verified before."""
    subject = x509.load_pem_x509_certificate(pem).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    groups = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if len(names) != 1:
        raise Unauthenticated("the client certificate has no common name")
    return Identity(str(names[0].value), frozenset(str(group.value) for group in groups))
