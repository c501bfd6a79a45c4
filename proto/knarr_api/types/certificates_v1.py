"""Values of k8s.io.api.certificates.v1, generated from knarr_proto/k8s/certificates_v1.proto: run ``./dev proto``, do not edit."""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.types import meta_v1


class CertificateSigningRequestSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.api.certificates.v1.CertificateSigningRequestSpec"""

    request: bytes | None = None
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    signer_name: str = ""
    expiration_seconds: int | None = None


class CertificateSigningRequestStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.certificates.v1.CertificateSigningRequestStatus"""

    conditions: tuple[CertificateSigningRequestCondition, ...] = ()
    certificate: bytes | None = None


class CertificateSigningRequestCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.api.certificates.v1.CertificateSigningRequestCondition"""

    type: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None
    status: str = ""


class CertificateSigningRequestList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.certificates.v1.CertificateSigningRequestList"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CertificateSigningRequestList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CertificateSigningRequest, ...] = ()


class ClusterTrustBundleSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.api.certificates.v1.ClusterTrustBundleSpec"""

    signer_name: str = ""
    trust_bundle: str = ""


class ClusterTrustBundleList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.certificates.v1.ClusterTrustBundleList"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterTrustBundleList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ClusterTrustBundle, ...] = ()


class PodCertificateRequestSpec(
    msgspec.Struct,
    frozen=True, kw_only=True, omit_defaults=True, rename={"signer_name": "signerName", "pod_name": "podName", "pod_uid": "podUID", "service_account_name": "serviceAccountName", "service_account_uid": "serviceAccountUID", "node_name": "nodeName", "node_uid": "nodeUID", "max_expiration_seconds": "maxExpirationSeconds", "unverified_user_annotations": "unverifiedUserAnnotations", "stub_pkcs10_request": "stubPKCS10Request"},
):
    """k8s.io.api.certificates.v1.PodCertificateRequestSpec"""

    signer_name: str = ""
    pod_name: str = ""
    pod_uid: str = ""
    service_account_name: str = ""
    service_account_uid: str = ""
    node_name: str = ""
    node_uid: str = ""
    max_expiration_seconds: int | None = None
    unverified_user_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    stub_pkcs10_request: bytes | None = None


class PodCertificateRequestStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.api.certificates.v1.PodCertificateRequestStatus"""

    conditions: tuple[meta_v1.Condition, ...] = ()
    certificate_chain: str = ""
    not_before: datetime.datetime | None = None
    begin_refresh_at: datetime.datetime | None = None
    not_after: datetime.datetime | None = None


class PodCertificateRequestList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.certificates.v1.PodCertificateRequestList"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodCertificateRequestList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PodCertificateRequest, ...] = ()


class CertificateSigningRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.certificates.v1.CertificateSigningRequest"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CertificateSigningRequest")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CertificateSigningRequestSpec = CertificateSigningRequestSpec()
    status: CertificateSigningRequestStatus = CertificateSigningRequestStatus()


class ClusterTrustBundle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.certificates.v1.ClusterTrustBundle"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterTrustBundle")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ClusterTrustBundleSpec = ClusterTrustBundleSpec()


class PodCertificateRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.api.certificates.v1.PodCertificateRequest"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodCertificateRequest")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodCertificateRequestSpec = PodCertificateRequestSpec()
    status: PodCertificateRequestStatus = PodCertificateRequestStatus()
