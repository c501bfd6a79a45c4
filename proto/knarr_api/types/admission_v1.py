"""Values of k8s.io.api.admission.v1.

Generated from knarr_proto/k8s/admission_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

from typing import Any

import msgspec

from knarr_api.types import authentication_v1, meta_v1


class AdmissionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admission.v1.AdmissionRequest"""

    uid: str = ""
    kind: meta_v1.GroupVersionKind | None = None
    resource: meta_v1.GroupVersionResource | None = None
    sub_resource: str = ""
    name: str = ""
    namespace: str = ""
    operation: str = ""
    user_info: authentication_v1.UserInfo | None = None
    object: Any = None
    old_object: Any = None
    dry_run: bool | None = None
    options: Any = None
    request_kind: meta_v1.GroupVersionKind | None = None
    request_resource: meta_v1.GroupVersionResource | None = None
    request_sub_resource: str = ""


class AdmissionResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admission.v1.AdmissionResponse"""

    uid: str = ""
    allowed: bool | None = None
    status: meta_v1.Status | None = None
    patch: bytes = b""
    patch_type: str = ""
    audit_annotations: dict[str, str] = msgspec.field(default_factory=dict)
    warnings: tuple[str, ...] = ()


class AdmissionReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admission.v1.AdmissionReview"""

    api_version: str = msgspec.field(default_factory=lambda: "admission.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "AdmissionReview")
    request: AdmissionRequest | None = None
    response: AdmissionResponse | None = None
