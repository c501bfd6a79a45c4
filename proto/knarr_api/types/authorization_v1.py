"""Values of k8s.io.api.authorization.v1.

Generated from knarr_proto/k8s/authorization_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.types import meta_v1


class FieldSelectorAttributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authorization.v1.FieldSelectorAttributes"""

    raw_selector: str = ""
    requirements: tuple[meta_v1.FieldSelectorRequirement, ...] = ()


class LabelSelectorAttributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authorization.v1.LabelSelectorAttributes"""

    raw_selector: str = ""
    requirements: tuple[meta_v1.LabelSelectorRequirement, ...] = ()


class SubjectAccessReviewSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authorization.v1.SubjectAccessReviewSpec"""

    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None
    user: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    uid: str = ""


class SubjectAccessReviewStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.authorization.v1.SubjectAccessReviewStatus"""

    allowed: bool | None = None
    reason: str = ""
    evaluation_error: str = ""
    denied: bool | None = None


class LocalSubjectAccessReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authorization.v1.LocalSubjectAccessReview"""

    api_version: str = msgspec.field(default_factory=lambda: "authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "LocalSubjectAccessReview")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SubjectAccessReviewSpec = SubjectAccessReviewSpec()
    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()


class NonResourceAttributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authorization.v1.NonResourceAttributes"""

    path: str = ""
    verb: str = ""


class NonResourceRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authorization.v1.NonResourceRule"""

    verbs: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")


class ResourceAttributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authorization.v1.ResourceAttributes"""

    namespace: str = ""
    verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""
    field_selector: FieldSelectorAttributes | None = None
    label_selector: LabelSelectorAttributes | None = None


class ResourceRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authorization.v1.ResourceRule"""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()


class SelfSubjectAccessReviewSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.authorization.v1.SelfSubjectAccessReviewSpec"""

    resource_attributes: ResourceAttributes | None = None
    non_resource_attributes: NonResourceAttributes | None = None


class SelfSubjectAccessReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authorization.v1.SelfSubjectAccessReview"""

    api_version: str = msgspec.field(default_factory=lambda: "authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "SelfSubjectAccessReview")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SelfSubjectAccessReviewSpec = SelfSubjectAccessReviewSpec()
    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()


class SelfSubjectRulesReviewSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authorization.v1.SelfSubjectRulesReviewSpec"""

    namespace: str = ""


class SubjectRulesReviewStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.authorization.v1.SubjectRulesReviewStatus"""

    resource_rules: tuple[ResourceRule, ...] = ()
    non_resource_rules: tuple[NonResourceRule, ...] = ()
    incomplete: bool | None = None
    evaluation_error: str = ""


class SelfSubjectRulesReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authorization.v1.SelfSubjectRulesReview"""

    api_version: str = msgspec.field(default_factory=lambda: "authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "SelfSubjectRulesReview")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SelfSubjectRulesReviewSpec = SelfSubjectRulesReviewSpec()
    status: SubjectRulesReviewStatus = SubjectRulesReviewStatus()


class SubjectAccessReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.authorization.v1.SubjectAccessReview"""

    api_version: str = msgspec.field(default_factory=lambda: "authorization.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "SubjectAccessReview")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: SubjectAccessReviewSpec = SubjectAccessReviewSpec()
    status: SubjectAccessReviewStatus = SubjectAccessReviewStatus()
