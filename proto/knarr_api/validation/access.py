"""Accounts, roles and their bindings, certificate requests. Source: Kubernetes API reference."""

from __future__ import annotations

from collections.abc import Iterator

from knarr_api.errors import FieldError
from knarr_api.types import certificates_v1, core_v1, rbac_v1
from knarr_api.validation import names, placement
from knarr_api.validation.names import forbidden, invalid, required, unsupported

GROUP = "rbac.authorization.k8s.io"
USAGES = (
    *("any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment"),
    *("decipher only", "digital signature", "email protection", "encipher only", "ipsec end system", "ipsec tunnel"),
    *("ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc", "ocsp signing", "s/mime"),
    *("server auth", "signing", "timestamping"),
)


def role(obj: rbac_v1.Role) -> Iterator[FieldError]:
    yield from _rules(obj.rules, namespaced=True)


def cluster_role(obj: rbac_v1.ClusterRole) -> Iterator[FieldError]:
    yield from _rules(obj.rules, namespaced=False)
    if obj.aggregation_rule is not None:
        selectors = obj.aggregation_rule.cluster_role_selectors
        if not selectors:
            yield required(
                "aggregationRule.clusterRoleSelectors",
                "at least one clusterRoleSelector required if aggregationRule is non-nil",
            )
        for index, selector in enumerate(selectors):
            yield from placement.label_selector(selector, f"aggregationRule.clusterRoleSelectors[{index}]")


def _rules(rules: tuple[rbac_v1.PolicyRule, ...], *, namespaced: bool) -> Iterator[FieldError]:
    for index, rule in enumerate(rules):
        at = f"rules[{index}]"
        if not rule.verbs:
            yield required(f"{at}.verbs", "verbs must contain at least one value")
        if rule.non_resource_urls:
            if namespaced:
                text = "namespaced rules cannot apply to non-resource URLs"
                yield invalid(f"{at}.nonResourceURLs", list(rule.non_resource_urls), text)
            elif rule.api_groups or rule.resources or rule.resource_names:
                text = "rules cannot apply to both regular resources and non-resource URLs"
                yield invalid(f"{at}.nonResourceURLs", list(rule.non_resource_urls), text)
            continue
        if not rule.api_groups:
            yield required(f"{at}.apiGroups", "resource rules must supply at least one api group")
        if not rule.resources:
            yield required(f"{at}.resources", "resource rules must supply at least one resource")


def role_binding(obj: rbac_v1.RoleBinding) -> Iterator[FieldError]:
    yield from _binding(obj, ("ClusterRole", "Role"), namespaced=True)


def cluster_role_binding(obj: rbac_v1.ClusterRoleBinding) -> Iterator[FieldError]:
    yield from _binding(obj, ("ClusterRole",), namespaced=False)


def _binding(
    obj: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding, kinds: tuple[str, ...], *, namespaced: bool
) -> Iterator[FieldError]:
    reference = obj.role_ref or rbac_v1.RoleRef()
    if reference.api_group not in ("", GROUP):
        yield unsupported("roleRef.apiGroup", reference.api_group, (GROUP,))
    if reference.kind not in kinds:
        yield unsupported("roleRef.kind", reference.kind, kinds)
    if not reference.name:
        yield required("roleRef.name")
    else:
        yield from names.path_segment("roleRef.name", reference.name)
    for index, subject in enumerate(obj.subjects):
        at = f"subjects[{index}]"
        if not subject.name:
            yield required(f"{at}.name")
        match subject.kind:
            case "ServiceAccount":
                if subject.name:
                    yield from names.dns_subdomain(f"{at}.name", subject.name)
                if subject.api_group:
                    yield unsupported(f"{at}.apiGroup", subject.api_group, ("",))
                if not namespaced and not subject.namespace:
                    yield required(f"{at}.namespace")
            case "User" | "Group":
                if subject.api_group not in ("", GROUP):
                    yield unsupported(f"{at}.apiGroup", subject.api_group, (GROUP,))
            case _:
                yield unsupported(f"{at}.kind", subject.kind, ("Group", "ServiceAccount", "User"))


def update_binding(
    old: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding, new: rbac_v1.RoleBinding | rbac_v1.ClusterRoleBinding
) -> Iterator[FieldError]:
    if old.role_ref != new.role_ref:
        yield invalid("roleRef", "", "cannot change roleRef")


def account(obj: core_v1.ServiceAccount) -> Iterator[FieldError]:
    for field, given in (
        ("secrets", [secret.name for secret in obj.secrets]),
        ("imagePullSecrets", [secret.name for secret in obj.image_pull_secrets]),
    ):
        for index, name in enumerate(given):
            if name:
                yield from names.dns_subdomain(f"{field}[{index}].name", name)


def signing_request(obj: certificates_v1.CertificateSigningRequest) -> Iterator[FieldError]:
    spec = obj.spec
    if not spec.request:
        yield required("spec.request")
    elif b"-----BEGIN" not in spec.request:
        yield invalid("spec.request", "", "PEM block type must be CERTIFICATE REQUEST")
    if not spec.usages:
        yield required("spec.usages")
    seen: set[str] = set()
    for index, usage in enumerate(spec.usages):
        if usage not in USAGES:
            yield unsupported(f"spec.usages[{index}]", usage, USAGES)
        if usage in seen:
            yield names.duplicate(f"spec.usages[{index}]", usage)
        seen.add(usage)
    if not spec.signer_name:
        yield required("spec.signerName")
    else:
        domain, slash, path = spec.signer_name.partition("/")
        if not slash or not path:
            yield invalid(
                "spec.signerName",
                spec.signer_name,
                "must be a fully qualified domain and path of the form 'example.com/signer-name'",
            )
        elif list(names.dns_subdomain("", domain)):
            yield from names.dns_subdomain("spec.signerName", domain)
        elif spec.signer_name == "kubernetes.io/legacy-unknown":
            yield invalid(
                "spec.signerName", spec.signer_name, "the legacy signerName is not allowed via this API version"
            )
    if spec.expiration_seconds is not None and spec.expiration_seconds < 600:
        text = "may not specify a duration less than 600 seconds (10 minutes)"
        yield invalid("spec.expirationSeconds", spec.expiration_seconds, text)


def update_signing_request(
    old: certificates_v1.CertificateSigningRequest, new: certificates_v1.CertificateSigningRequest
) -> Iterator[FieldError]:
    if old.spec != new.spec:
        yield forbidden("spec", "updates to the spec are forbidden")
