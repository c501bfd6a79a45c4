"""Values of k8s.io.api.authentication.v1.

Generated from knarr_proto/k8s/authentication_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int64
from knarr_api.time import keep_seconds
from knarr_api.types import meta_v1


class BoundObjectReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authentication.v1.BoundObjectReference"""

    kind: str = ""
    api_version: str = ""
    name: str = ""
    uid: str = ""


class SelfSubjectReviewStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authentication.v1.SelfSubjectReviewStatus"""

    user_info: UserInfo | None = None


class SelfSubjectReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authentication.v1.SelfSubjectReview"""

    api_version: str = msgspec.field(default_factory=lambda: "authentication.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "SelfSubjectReview")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    status: SelfSubjectReviewStatus = SelfSubjectReviewStatus()


class TokenRequestSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authentication.v1.TokenRequestSpec"""

    audiences: tuple[str, ...] = ()
    bound_object_ref: BoundObjectReference | None = None
    expiration_seconds: Int64 | None = None
    attestations: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)


class TokenRequestStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authentication.v1.TokenRequestStatus"""

    token: str = ""
    expiration_timestamp: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.expiration_timestamp is not None:
            keep_seconds(self, "expiration_timestamp", self.expiration_timestamp)


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authentication.v1.TokenRequest"""

    api_version: str = msgspec.field(default_factory=lambda: "authentication.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "TokenRequest")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: TokenRequestSpec = TokenRequestSpec()
    status: TokenRequestStatus = TokenRequestStatus()


class TokenReviewSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authentication.v1.TokenReviewSpec"""

    token: str = ""
    audiences: tuple[str, ...] = ()


class TokenReviewStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authentication.v1.TokenReviewStatus"""

    authenticated: bool | None = None
    user: UserInfo | None = None
    error: str = ""
    audiences: tuple[str, ...] = ()


class TokenReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authentication.v1.TokenReview"""

    api_version: str = msgspec.field(default_factory=lambda: "authentication.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "TokenReview")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: TokenReviewSpec = TokenReviewSpec()
    status: TokenReviewStatus = TokenReviewStatus()


class UserInfo(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authentication.v1.UserInfo"""

    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
