"""Classes of priority and runtime, custom resources, and what has a say in admission. Source: Kubernetes API."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from knarr_api.errors import FieldError
from knarr_api.types import admissionregistration_v1, apiextensions_v1, core_v1, node_v1, scheduling_v1
from knarr_api.validation import names, placement, workloads
from knarr_api.validation.names import invalid, one_of, required

RFC_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
RFC_1035_TEXT = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
FAILURES = ("Fail", "Ignore")
OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES = ("*", "Cluster", "Namespaced")
Webhook = admissionregistration_v1.MutatingWebhook | admissionregistration_v1.ValidatingWebhook


def priority_class(obj: scheduling_v1.PriorityClass) -> Iterator[FieldError]:
    policies = ("Never", "PreemptLowerPriority")
    yield from one_of("preemptionPolicy", obj.preemption_policy, policies, may_be_empty=True)


def update_priority_class(old: scheduling_v1.PriorityClass, new: scheduling_v1.PriorityClass) -> Iterator[FieldError]:
    if (old.value or 0) != (new.value or 0):
        yield names.forbidden("value", "may not be changed in an update.")
    before, after = (each.preemption_policy or "PreemptLowerPriority" for each in (old, new))
    yield from names.immutable("preemptionPolicy", before, after)


def runtime_class(obj: node_v1.RuntimeClass) -> Iterator[FieldError]:
    if not obj.handler:
        yield required("handler")
    else:
        yield from names.dns_label("handler", obj.handler)
    if obj.overhead is not None:
        for resource, quantity in obj.overhead.pod_fixed.items():
            if quantity.nanos() < 0:
                path = f"overhead.podFixed[{resource}]"
                yield invalid(path, str(quantity), "must be greater than or equal to 0")
    if obj.scheduling is not None:
        yield from names.label_map("scheduling.nodeSelector", obj.scheduling.node_selector)


def update_runtime_class(old: node_v1.RuntimeClass, new: node_v1.RuntimeClass) -> Iterator[FieldError]:
    yield from names.immutable("handler", old.handler, new.handler)


def pod_template(obj: core_v1.PodTemplate) -> Iterator[FieldError]:
    if obj.template is None:
        yield required("template.spec.containers")
    else:
        yield from workloads.template(obj.template, "template")


# Custom resources


def custom_resource(obj: apiextensions_v1.CustomResourceDefinition) -> Iterator[FieldError]:
    spec = obj.spec
    given = spec.names or apiextensions_v1.CustomResourceDefinitionNames()
    if obj.metadata.name != f"{given.plural}.{spec.group}":
        yield invalid("metadata.name", obj.metadata.name, 'must be spec.names.plural+"."+spec.group')
    if not spec.group:
        yield required("spec.group")
    else:
        yield from names.dns_subdomain("spec.group", spec.group)
        if "." not in spec.group:
            yield invalid("spec.group", spec.group, "should be a domain with at least one dot")
    yield from one_of("spec.scope", spec.scope, ("Cluster", "Namespaced"))
    for field, value in (("plural", given.plural), ("kind", given.kind)):
        if not value:
            yield required(f"spec.names.{field}")
    for field, value in (
        ("plural", given.plural),
        ("singular", given.singular),
        ("kind", given.kind.lower()),
        ("listKind", given.list_kind.lower()),
    ):
        if value and not RFC_1035.fullmatch(value):
            yield invalid(f"spec.names.{field}", value, RFC_1035_TEXT)
    for index, name in enumerate(given.short_names):
        if not RFC_1035.fullmatch(name):
            yield invalid(f"spec.names.shortNames[{index}]", name, RFC_1035_TEXT)
    if given.kind and given.kind == given.list_kind:
        yield invalid("spec.names.listKind", given.list_kind, "kind and listKind may not be the same")
    yield from _versions(spec)


def _versions(spec: apiextensions_v1.CustomResourceDefinitionSpec) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, version in enumerate(spec.versions):
        at = f"spec.versions[{index}]"
        if not RFC_1035.fullmatch(version.name):
            yield invalid(f"{at}.name", version.name, RFC_1035_TEXT)
        if version.name in seen:
            yield invalid("spec.versions", version.name, "must contain unique version names")
        seen.add(version.name)
        schema = version.schema.open_apiv3_schema if version.schema is not None else None
        if schema is None:
            yield required(f"{at}.schema.openAPIV3Schema", "schemas are required")
        elif not schema.type and not schema.x_kubernetes_preserve_unknown_fields:
            yield required(f"{at}.schema.openAPIV3Schema.type", "must not be empty at the root")
        elif schema.type not in ("", "object"):
            yield invalid(f"{at}.schema.openAPIV3Schema.type", schema.type, "must be object at the root")
    if sum(bool(version.storage) for version in spec.versions) != 1:
        yield invalid("spec.versions", list(seen), "must have exactly one version marked as storage version")


# Admission


def mutating(obj: admissionregistration_v1.MutatingWebhookConfiguration) -> Iterator[FieldError]:
    yield from _webhooks(obj.webhooks)
    for index, hook in enumerate(obj.webhooks):
        at = f"webhooks[{index}].reinvocationPolicy"
        yield from one_of(at, hook.reinvocation_policy, ("IfNeeded", "Never"), may_be_empty=True)


def validating(obj: admissionregistration_v1.ValidatingWebhookConfiguration) -> Iterator[FieldError]:
    yield from _webhooks(obj.webhooks)


def _webhooks(hooks: tuple[Webhook, ...]) -> Iterator[FieldError]:
    seen: set[str] = set()
    for index, hook in enumerate(hooks):
        at = f"webhooks[{index}]"
        if hook.name.count(".") < 2:
            yield invalid(f"{at}.name", hook.name, "should be a domain with at least three segments separated by dots")
        else:
            yield from names.dns_subdomain(f"{at}.name", hook.name)
        if hook.name in seen:
            yield names.duplicate(f"{at}.name", hook.name)
        seen.add(hook.name)
        for number, rule in enumerate(hook.rules):
            yield from _rule(f"{at}.rules[{number}]", rule)
        yield from one_of(f"{at}.failurePolicy", hook.failure_policy, FAILURES, may_be_empty=True)
        yield from one_of(f"{at}.matchPolicy", hook.match_policy, ("Equivalent", "Exact"), may_be_empty=True)
        if not hook.side_effects:
            yield required(f"{at}.sideEffects", "must specify one of None, NoneOnDryRun")
        else:
            yield from one_of(f"{at}.sideEffects", hook.side_effects, ("None", "NoneOnDryRun"))
        if hook.timeout_seconds is not None and not 1 <= hook.timeout_seconds <= 30:
            path = f"{at}.timeoutSeconds"
            yield invalid(path, hook.timeout_seconds, "the timeout value must be between 1 and 30 seconds")
        if not hook.admission_review_versions:
            versions = f"{at}.admissionReviewVersions"
            yield required(versions, "must specify one of v1, v1beta1")
        for field, selector in (
            ("namespaceSelector", hook.namespace_selector),
            ("objectSelector", hook.object_selector),
        ):
            yield from placement.label_selector(selector, f"{at}.{field}")
        yield from _client(f"{at}.clientConfig", hook.client_config or admissionregistration_v1.WebhookClientConfig())


def _client(at: str, config: admissionregistration_v1.WebhookClientConfig) -> Iterator[FieldError]:
    if bool(config.url) == (config.service is not None):
        yield required(at, "exactly one of url or service is required")
    elif config.url:
        parts = urlsplit(config.url)
        if parts.scheme != "https":
            text = "'https' is the only allowed URL scheme; desired format: https://host[/path]"
            yield invalid(f"{at}.url", config.url, text)
        if not parts.hostname:
            yield invalid(f"{at}.url", config.url, "host must be specified; desired format: https://host[/path]")
    elif config.service is not None:
        service = config.service
        if not service.name:
            yield required(f"{at}.service.name", "service name is required")
        if not service.namespace:
            yield required(f"{at}.service.namespace", "service namespace is required")
        if service.port is not None and not 1 <= service.port <= 65535:
            text = "port is not valid: must be between 1 and 65535, inclusive"
            yield invalid(f"{at}.service.port", service.port, text)


def _rule(at: str, rule: admissionregistration_v1.RuleWithOperations) -> Iterator[FieldError]:
    if not rule.operations:
        yield required(f"{at}.operations")
    if len(rule.operations) > 1 and "*" in rule.operations:
        yield invalid(f"{at}.operations", list(rule.operations), "if '*' is present, must not specify other operations")
    for index, operation in enumerate(rule.operations):
        yield from one_of(f"{at}.operations[{index}]", operation, OPERATIONS)
    for field, values in (
        ("apiGroups", rule.api_groups),
        ("apiVersions", rule.api_versions),
        ("resources", rule.resources),
    ):
        if not values:
            yield required(f"{at}.{field}")
        if len(values) > 1 and "*" in values and field != "resources":
            word = "API groups" if field == "apiGroups" else "API versions"
            yield invalid(f"{at}.{field}", list(values), f"if '*' is present, must not specify other {word}")
    yield from one_of(f"{at}.scope", rule.scope, SCOPES, may_be_empty=True)


def validating_policy(obj: admissionregistration_v1.ValidatingAdmissionPolicy) -> Iterator[FieldError]:
    spec = obj.spec
    yield from one_of("spec.failurePolicy", spec.failure_policy, FAILURES, may_be_empty=True)
    yield from _constraints(spec.match_constraints)
    if not spec.validations and not spec.audit_annotations:
        yield required("spec.validations", "validations or auditAnnotations must be non-empty")
    for index, validation in enumerate(spec.validations):
        if not validation.expression.strip():
            yield required(f"spec.validations[{index}].expression", "expression is not specified")


def _constraints(given: admissionregistration_v1.MatchResources | None) -> Iterator[FieldError]:
    if given is None:
        yield required("spec.matchConstraints")
    elif not given.resource_rules:
        yield required("spec.matchConstraints.resourceRules")


def validating_binding(obj: admissionregistration_v1.ValidatingAdmissionPolicyBinding) -> Iterator[FieldError]:
    spec = obj.spec
    if not spec.policy_name:
        yield required("spec.policyName")
    else:
        yield from names.dns_subdomain("spec.policyName", spec.policy_name)
    if not spec.validation_actions:
        yield required("spec.validationActions", "at least one validation action is required")
    for action in spec.validation_actions:
        yield from one_of("spec.validationActions", action, ("Audit", "Deny", "Warn"))
    if {"Deny", "Warn"} <= set(spec.validation_actions):
        yield invalid(
            "spec.validationActions",
            list(spec.validation_actions),
            "must not contain both Deny and Warn (repeating "
            "the same validation failure information in the API response and headers serves no purpose)",
        )


def mutating_policy(obj: admissionregistration_v1.MutatingAdmissionPolicy) -> Iterator[FieldError]:
    spec = obj.spec
    yield from one_of("spec.failurePolicy", spec.failure_policy, FAILURES, may_be_empty=True)
    yield from _constraints(spec.match_constraints)
    if not spec.mutations:
        yield required("spec.mutations", "mutations must contain at least one item")
    if not spec.reinvocation_policy:
        yield required("spec.reinvocationPolicy")
    else:
        yield from one_of("spec.reinvocationPolicy", spec.reinvocation_policy, ("IfNeeded", "Never"))


def mutating_binding(obj: admissionregistration_v1.MutatingAdmissionPolicyBinding) -> Iterator[FieldError]:
    if not obj.spec.policy_name:
        yield required("spec.policyName")
    else:
        yield from names.dns_subdomain("spec.policyName", obj.spec.policy_name)
