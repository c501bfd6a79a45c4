"""Values of k8s.io.api.admissionregistration.v1.

Generated from knarr_proto/k8s/admissionregistration_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import msgspec

from knarr_api.numbers import Int32, Int64
from knarr_api.types import meta_v1


class ApplyConfiguration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ApplyConfiguration"""

    expression: str = ""


class AuditAnnotation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.AuditAnnotation"""

    key: str = ""
    value_expression: str = ""


class ExpressionWarning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.ExpressionWarning"""

    field_ref: str = ""
    warning: str = ""


class JSONPatch(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.JSONPatch"""

    expression: str = ""


class MatchCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.MatchCondition"""

    name: str = ""
    expression: str = ""


class MatchResources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.MatchResources"""

    namespace_selector: meta_v1.LabelSelector | None = None
    object_selector: meta_v1.LabelSelector | None = None
    resource_rules: tuple[NamedRuleWithOperations, ...] = ()
    exclude_resource_rules: tuple[NamedRuleWithOperations, ...] = ()
    match_policy: str = ""


class MutatingAdmissionPolicySpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicySpec"""

    param_kind: ParamKind | None = None
    match_constraints: MatchResources | None = None
    variables: tuple[Variable, ...] = ()
    mutations: tuple[Mutation, ...] = ()
    failure_policy: str = ""
    match_conditions: tuple[MatchCondition, ...] = ()
    reinvocation_policy: str = ""


class MutatingAdmissionPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicy"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "MutatingAdmissionPolicy")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: MutatingAdmissionPolicySpec = MutatingAdmissionPolicySpec()


class MutatingAdmissionPolicyBindingSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicyBindingSpec"""

    policy_name: str = ""
    param_ref: ParamRef | None = None
    match_resources: MatchResources | None = None


class MutatingAdmissionPolicyBinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicyBinding"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "MutatingAdmissionPolicyBinding")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: MutatingAdmissionPolicyBindingSpec = MutatingAdmissionPolicyBindingSpec()


class MutatingAdmissionPolicyBindingList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicyBindingList"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "MutatingAdmissionPolicyBindingList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[MutatingAdmissionPolicyBinding, ...] = ()


class MutatingAdmissionPolicyList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.MutatingAdmissionPolicyList"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "MutatingAdmissionPolicyList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[MutatingAdmissionPolicy, ...] = ()


class MutatingWebhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.MutatingWebhook"""

    name: str = ""
    client_config: WebhookClientConfig | None = None
    rules: tuple[RuleWithOperations, ...] = ()
    failure_policy: str = ""
    namespace_selector: meta_v1.LabelSelector | None = None
    side_effects: str = ""
    timeout_seconds: Int32 | None = None
    admission_review_versions: tuple[str, ...] = ()
    match_policy: str = ""
    reinvocation_policy: str = ""
    object_selector: meta_v1.LabelSelector | None = None
    match_conditions: tuple[MatchCondition, ...] = ()


class MutatingWebhookConfiguration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.MutatingWebhookConfiguration"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "MutatingWebhookConfiguration")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    webhooks: tuple[MutatingWebhook, ...] = ()


class MutatingWebhookConfigurationList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.MutatingWebhookConfigurationList"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "MutatingWebhookConfigurationList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[MutatingWebhookConfiguration, ...] = ()


class Mutation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.Mutation"""

    patch_type: str = ""
    apply_configuration: ApplyConfiguration | None = None
    json_patch: JSONPatch | None = None


class NamedRuleWithOperations(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.NamedRuleWithOperations"""

    resource_names: tuple[str, ...] = ()
    operations: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scope: str = ""


class ParamKind(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.ParamKind"""

    api_version: str = ""
    kind: str = ""


class ParamRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.ParamRef"""

    name: str = ""
    namespace: str = ""
    selector: meta_v1.LabelSelector | None = None
    parameter_not_found_action: str = ""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.Rule"""

    api_groups: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scope: str = ""


class RuleWithOperations(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.RuleWithOperations"""

    operations: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    scope: str = ""


class ServiceReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ServiceReference"""

    namespace: str = ""
    name: str = ""
    path: str = ""
    port: Int32 | None = None


class TypeChecking(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.TypeChecking"""

    expression_warnings: tuple[ExpressionWarning, ...] = ()


class ValidatingAdmissionPolicySpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicySpec"""

    param_kind: ParamKind | None = None
    match_constraints: MatchResources | None = None
    validations: tuple[Validation, ...] = ()
    failure_policy: str = ""
    audit_annotations: tuple[AuditAnnotation, ...] = ()
    match_conditions: tuple[MatchCondition, ...] = ()
    variables: tuple[Variable, ...] = ()


class ValidatingAdmissionPolicyStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicyStatus"""

    observed_generation: Int64 | None = None
    type_checking: TypeChecking | None = None
    conditions: tuple[meta_v1.Condition, ...] = ()


class ValidatingAdmissionPolicy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicy"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ValidatingAdmissionPolicy")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ValidatingAdmissionPolicySpec = ValidatingAdmissionPolicySpec()
    status: ValidatingAdmissionPolicyStatus = ValidatingAdmissionPolicyStatus()


class ValidatingAdmissionPolicyBindingSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicyBindingSpec"""

    policy_name: str = ""
    param_ref: ParamRef | None = None
    match_resources: MatchResources | None = None
    validation_actions: tuple[str, ...] = ()


class ValidatingAdmissionPolicyBinding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ValidatingAdmissionPolicyBinding")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: ValidatingAdmissionPolicyBindingSpec = ValidatingAdmissionPolicyBindingSpec()


class ValidatingAdmissionPolicyBindingList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicyBindingList"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ValidatingAdmissionPolicyBindingList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ValidatingAdmissionPolicyBinding, ...] = ()


class ValidatingAdmissionPolicyList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ValidatingAdmissionPolicyList"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ValidatingAdmissionPolicyList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ValidatingAdmissionPolicy, ...] = ()


class ValidatingWebhook(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.ValidatingWebhook"""

    name: str = ""
    client_config: WebhookClientConfig | None = None
    rules: tuple[RuleWithOperations, ...] = ()
    failure_policy: str = ""
    namespace_selector: meta_v1.LabelSelector | None = None
    side_effects: str = ""
    timeout_seconds: Int32 | None = None
    admission_review_versions: tuple[str, ...] = ()
    match_policy: str = ""
    object_selector: meta_v1.LabelSelector | None = None
    match_conditions: tuple[MatchCondition, ...] = ()


class ValidatingWebhookConfiguration(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ValidatingWebhookConfiguration"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ValidatingWebhookConfiguration")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    webhooks: tuple[ValidatingWebhook, ...] = ()


class ValidatingWebhookConfigurationList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.ValidatingWebhookConfigurationList"""

    api_version: str = msgspec.field(default_factory=lambda: "admissionregistration.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ValidatingWebhookConfigurationList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[ValidatingWebhookConfiguration, ...] = ()


class Validation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.Validation"""

    expression: str = ""
    message: str = ""
    reason: str = ""
    message_expression: str = ""


class Variable(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.api.admissionregistration.v1.Variable"""

    name: str = ""
    expression: str = ""


class WebhookClientConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.api.admissionregistration.v1.WebhookClientConfig"""

    service: ServiceReference | None = None
    ca_bundle: bytes = b""
    url: str = ""
