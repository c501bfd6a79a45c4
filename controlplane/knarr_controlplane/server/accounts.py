"""``knarr.v1.Accounts``: tokens of ServiceAccounts, whose they are, and what callers may do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from knarr_api import json, kinds
from knarr_api.errors import Conflict, FieldError, Forbidden, Invalid, KnarrError, NotFound, Unauthenticated, invalid
from knarr_api.types.authentication_v1 import (
    BoundObjectReference,
    SelfSubjectReview,
    SelfSubjectReviewStatus,
    TokenRequest,
    TokenRequestStatus,
    TokenReview,
    TokenReviewStatus,
    UserInfo,
)
from knarr_api.types.authorization_v1 import (
    SelfSubjectAccessReview,
    SelfSubjectAccessReviewSpec,
    SubjectAccessReview,
    SubjectAccessReviewSpec,
    SubjectAccessReviewStatus,
)
from knarr_api.types.core_v1 import Node, Pod, ServiceAccount
from knarr_controlplane.authz import Authorizer
from knarr_controlplane.pki import identity
from knarr_controlplane.pki.account_tokens import ISSUER, PREFIX, AccountTokens, Claims
from knarr_controlplane.pki.identity import Identity
from knarr_controlplane.registry import accounts
from knarr_controlplane.registry.addressing import filter_of
from knarr_controlplane.registry.registry import Registry
from knarr_controlplane.server.calls import unary
from knarr_proto.v1 import accounts_pb2, accounts_pb2_grpc

replace = msgspec.structs.replace
ACCOUNT, NODE, POD = kinds.of(ServiceAccount), kinds.of(Node), kinds.of(Pod)
GROUP = "system:serviceaccounts"
AUTHENTICATED = "system:authenticated"
DEFAULT_S, LEAST_S, MOST_S = 3600, 600, 1 << 32


class AccountAuthority:
    """Makes tokens for what is in the registry, and tells whose a token is as long as that is there."""

    def __init__(self, registry: Registry, tokens: AccountTokens, now: Callable[[], datetime]) -> None:
        self._registry = registry
        self._tokens = tokens
        self._now = now

    def issue(self, namespace: str, name: str, request: TokenRequest) -> TokenRequest:
        """The request with its status. Raises NotFound, Conflict (a bound object is another one), Invalid."""
        spec = request.spec
        account = self._registry.get(ACCOUNT, namespace, name)
        lasts_s = DEFAULT_S if spec.expiration_seconds is None else spec.expiration_seconds
        _check_expiration(lasts_s)
        audiences = spec.audiences or (ISSUER,)
        pod = self._bound(namespace, name, spec.bound_object_ref)
        node = self._registry.cache.get(NODE, NODE.key("", pod.spec.node_name)) if pod and pod.spec.node_name else None
        issued_s = int(self._now().timestamp())
        claims = Claims(
            namespace=namespace,
            account=name,
            account_uid=account.uid,
            audiences=audiences,
            issued_s=issued_s,
            expires_s=issued_s + lasts_s,
            pod=(pod.metadata.name, pod.metadata.uid) if pod else ("", ""),
            node=(node.name, node.uid) if node is not None else ("", ""),
            identifier=str(uuid.uuid4()),
        )
        status = TokenRequestStatus(
            token=self._tokens.sign(claims), expiration_timestamp=datetime.fromtimestamp(claims.expires_s, UTC)
        )
        spec = replace(spec, audiences=audiences, expiration_seconds=lasts_s)
        return replace(request, spec=spec, status=status)

    def _bound(self, namespace: str, account: str, reference: BoundObjectReference | None) -> Pod | None:
        if reference is None:
            return None
        if (reference.api_version, reference.kind) != ("v1", "Pod"):
            detail = FieldError("spec.boundObjectRef", "cannot bind to this kind: only v1 Pod", "Invalid value")
            raise invalid("TokenRequest", account, (detail,), "authentication.k8s.io")
        pod: Pod = self._registry.get(POD, namespace, reference.name).value()
        if reference.uid and reference.uid != pod.metadata.uid:
            raise Conflict(
                f"the UID in the bound object reference ({reference.uid}) does not match the UID in record "
                f"({pod.metadata.uid}): the object might have been deleted and then recreated"
            )
        if accounts.named(pod) != account:
            detail = FieldError(
                "spec.boundObjectRef.name", "the pod runs as another account", "Invalid value", reference.name
            )
            raise invalid("TokenRequest", account, (detail,), "authentication.k8s.io")
        return pod

    def review(self, token: str, audiences: tuple[str, ...] = ()) -> tuple[UserInfo, tuple[str, ...]]:
        """Whose a token is, and for which of the audiences (the API's own, where none are given).

        Raises Unauthenticated, also when the account or the pod it is bound to has gone.
        """
        claims = self._tokens.verify(token, self._now().timestamp())
        fitting = tuple(each for each in audiences or (ISSUER,) if each in claims.audiences)
        if not fitting:
            raise Unauthenticated(f"the token is for {', '.join(claims.audiences)}, not for this audience")
        account = self._registry.cache.get(ACCOUNT, ACCOUNT.key(claims.namespace, claims.account))
        if account is None or account.uid != claims.account_uid:
            raise Unauthenticated("the token's service account does not exist any more")
        name, uid = claims.pod
        extra: dict[str, tuple[str, ...]] = {}
        extra["authentication.kubernetes.io/credential-id"] = (f"JTI={claims.identifier}",)
        if name:
            pod = self._registry.cache.get(POD, POD.key(claims.namespace, name))
            if pod is None or pod.uid != uid:
                raise Unauthenticated("the pod that the token is bound to does not exist any more")
            extra["authentication.kubernetes.io/pod-name"] = (name,)
            extra["authentication.kubernetes.io/pod-uid"] = (uid,)
        groups = (GROUP, f"{GROUP}:{claims.namespace}", AUTHENTICATED)
        return UserInfo(username=claims.subject, uid=claims.account_uid, groups=groups, extra=extra), fitting

    def identify(self, token: str) -> Identity:
        """As ``review``, for callers of this API."""
        user, _ = self.review(token)
        return Identity(user.username, frozenset(user.groups), user.uid)


class Accounts(accounts_pb2_grpc.AccountsServicer):
    def __init__(self, registry: Registry, authorizer: Authorizer, authority: AccountAuthority) -> None:
        self._registry = registry
        self._authorizer = authorizer
        self._authority = authority

    @unary
    async def CreateToken(self, request: Any, context: Any) -> Any:
        caller = identity.of_call(context)
        wanted = json.decode_strict(request.request_json or b"{}", TokenRequest)
        await self._registry.catch_up()
        if caller.node_name:
            self._check_node(caller.node_name, request.namespace, request.name, wanted.spec.bound_object_ref)
        else:
            self._authorizer.check_admin(caller, f'create tokens of service accounts in "{request.namespace}"')
        made = self._authority.issue(request.namespace, request.name, wanted)
        return accounts_pb2.AccountTokenResponse(request_json=json.encode(made))

    @unary
    async def ReviewToken(self, request: Any, context: Any) -> Any:
        self._authorizer.check_admin(identity.of_call(context), "review tokens")
        given = json.decode_strict(request.json, TokenReview)
        await self._registry.catch_up()
        try:
            user, audiences = self._authority.review(given.spec.token, given.spec.audiences)
            status = TokenReviewStatus(authenticated=True, user=user, audiences=audiences)
        except KnarrError as error:
            status = TokenReviewStatus(authenticated=False, error=str(error))
        return accounts_pb2.Review(json=json.encode(replace(given, status=status)))

    @unary
    async def WhoAmI(self, request: Any, context: Any) -> Any:
        caller = identity.of_call(context)
        groups = tuple(sorted(caller.groups | {AUTHENTICATED}))
        user = UserInfo(username=caller.name, uid=caller.uid, groups=groups)
        review = SelfSubjectReview(status=SelfSubjectReviewStatus(user_info=user))
        return accounts_pb2.Review(json=json.encode(review))

    @unary
    async def ReviewAccess(self, request: Any, context: Any) -> Any:
        caller = identity.of_call(context)
        given: SubjectAccessReview | SelfSubjectAccessReview
        document = json.load(request.json or b"{}")
        if isinstance(document, dict) and document.get("kind") == "SubjectAccessReview":
            self._authorizer.check_admin(caller, "review the access of others")
            given = json.decode_strict(request.json, SubjectAccessReview)
            caller = Identity(given.spec.user, frozenset(given.spec.groups))
        else:
            given = json.decode_strict(request.json or b"{}", SelfSubjectAccessReview)
        await self._registry.catch_up()
        return accounts_pb2.Review(json=json.encode(replace(given, status=self._access(caller, given.spec))))

    def _access(
        self, caller: Identity, wanted: SubjectAccessReviewSpec | SelfSubjectAccessReviewSpec
    ) -> SubjectAccessReviewStatus:
        what = wanted.resource_attributes
        if what is None:
            if wanted.non_resource_attributes is None:
                raise Invalid("spec: exactly one of nonResourceAttributes or resourceAttributes must be specified")
            return SubjectAccessReviewStatus(allowed=caller.is_admin)
        try:
            kind = kinds.find(what.group, what.version, what.resource)
            fields = what.field_selector.raw_selector if what.field_selector is not None else ""
            self._authorizer.check(
                caller,
                what.verb,
                kind,
                namespace=what.namespace,
                name=what.name,
                subresource=what.subresource,
                filter_=filter_of(kind, what.namespace, "", fields),
            )
        except (Forbidden, NotFound) as error:
            return SubjectAccessReviewStatus(allowed=caller.is_admin, reason="" if caller.is_admin else str(error))
        return SubjectAccessReviewStatus(allowed=True)

    def _check_node(self, node: str, namespace: str, name: str, bound: BoundObjectReference | None) -> None:
        """A node asks for pods that are on it, and for tokens that end with them."""
        if bound is None or not bound.uid:
            raise Forbidden(f'node "{node}" may only ask for tokens that are bound to a pod')
        try:
            pod: Pod = self._registry.get(POD, namespace, bound.name).value()
        except NotFound:
            raise Forbidden(f'pods "{bound.name}" is not on node "{node}"') from None
        if pod.spec.node_name != node or pod.metadata.uid != bound.uid or accounts.named(pod) != name:
            raise Forbidden(f'no pod "{bound.name}" on node "{node}" runs as {PREFIX}{namespace}:{name}')


def _check_expiration(lasts_s: int) -> None:
    text = ""
    if lasts_s < LEAST_S:
        text = "may not specify a duration less than 10 minutes"
    elif lasts_s > MOST_S:
        text = "may not specify a duration larger than 2^32 seconds"
    if text:
        detail = FieldError("spec.expirationSeconds", text, "Invalid value", lasts_s)
        raise invalid("TokenRequest", "", (detail,), "authentication.k8s.io")
