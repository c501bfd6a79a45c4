"""Values of k8s.io.apimachinery.pkg.runtime.

Generated from knarr_proto/k8s/runtime.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec


class TypeMeta(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apimachinery.pkg.runtime.TypeMeta"""

    api_version: str = ""
    kind: str = ""


class Unknown(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """Envelope of Kubernetes' protobuf encoding: the object's type and its bytes."""

    type_meta: TypeMeta | None = None
    raw: bytes = b""
    content_encoding: str = ""
    content_type: str = ""
