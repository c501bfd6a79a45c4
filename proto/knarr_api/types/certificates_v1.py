"""Values of k8s.io.api.certificates.v1.

Generated from knarr_proto/k8s/certificates_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime

import msgspec

from knarr_api.numbers import Int32
from knarr_api.time import keep_seconds
from knarr_api.types import meta_v1


class CertificateSigningRequestSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.certificates.v1.CertificateSigningRequestSpec"""

    request: bytes = b""
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    usages: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    signer_name: str = ""
    expiration_seconds: Int32 | None = None


class CertificateSigningRequestStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.certificates.v1.CertificateSigningRequestStatus"""

    conditions: tuple[CertificateSigningRequestCondition, ...] = ()
    certificate: bytes = b""


class CertificateSigningRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.certificates.v1.CertificateSigningRequest"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CertificateSigningRequest")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CertificateSigningRequestSpec = CertificateSigningRequestSpec()
    status: CertificateSigningRequestStatus = CertificateSigningRequestStatus()


class CertificateSigningRequestCondition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.certificates.v1.CertificateSigningRequestCondition"""

    type: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: datetime.datetime | None = None
    last_transition_time: datetime.datetime | None = None
    status: str = ""

    def __post_init__(self) -> None:
        if self.last_update_time is not None:
            keep_seconds(self, "last_update_time", self.last_update_time)
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class CertificateSigningRequestList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.certificates.v1.CertificateSigningRequestList"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CertificateSigningRequestList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CertificateSigningRequest, ...] = ()


class ClusterTrustBundleSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.certificates.v1.ClusterTrustBundleSpec"""

    signer_name: str = ""
    trust_bundle: str = ""


class ClusterTrustBundle(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.certificates.v1.ClusterTrustBundle"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterTrustBundle")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ClusterTrustBundleSpec = ClusterTrustBundleSpec()


class ClusterTrustBundleList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.certificates.v1.ClusterTrustBundleList"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ClusterTrustBundleList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ClusterTrustBundle, ...] = ()


class PodCertificateRequestSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.certificates.v1.PodCertificateRequestSpec"""

    signer_name: str = ""
    pod_name: str = ""
    pod_uid: str = msgspec.field(default="", name="podUID")
    service_account_name: str = ""
    service_account_uid: str = msgspec.field(default="", name="serviceAccountUID")
    node_name: str = ""
    node_uid: str = msgspec.field(default="", name="nodeUID")
    max_expiration_seconds: Int32 | None = None
    unverified_user_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    stub_pkcs10_request: bytes = msgspec.field(default=b"", name="stubPKCS10Request")


class PodCertificateRequestStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.certificates.v1.PodCertificateRequestStatus"""

    conditions: tuple[meta_v1.Condition, ...] = ()
    certificate_chain: str = ""
    not_before: datetime.datetime | None = None
    begin_refresh_at: datetime.datetime | None = None
    not_after: datetime.datetime | None = None

    def __post_init__(self) -> None:
        if self.not_before is not None:
            keep_seconds(self, "not_before", self.not_before)
        if self.begin_refresh_at is not None:
            keep_seconds(self, "begin_refresh_at", self.begin_refresh_at)
        if self.not_after is not None:
            keep_seconds(self, "not_after", self.not_after)


class PodCertificateRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.certificates.v1.PodCertificateRequest"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodCertificateRequest")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: PodCertificateRequestSpec = PodCertificateRequestSpec()
    status: PodCertificateRequestStatus = PodCertificateRequestStatus()


class PodCertificateRequestList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.certificates.v1.PodCertificateRequestList"""

    api_version: str = msgspec.field(default_factory=lambda: "certificates.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "PodCertificateRequestList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[PodCertificateRequest, ...] = ()
