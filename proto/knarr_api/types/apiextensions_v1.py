"""Values of k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1, generated from knarr_proto/k8s/apiextensions_v1.proto: run ``./dev proto``, do not edit."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from knarr_api.types import meta_v1


class ConversionRequest(
    msgspec.Struct,
    frozen=True, kw_only=True, omit_defaults=True, rename={"desired_api_version": "desiredAPIVersion"},
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ConversionRequest"""

    uid: str = ""
    desired_api_version: str = ""
    objects: tuple[Any, ...] = ()


class ConversionResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ConversionResponse"""

    uid: str = ""
    converted_objects: tuple[Any, ...] = ()
    result: meta_v1.Status | None = None


class ConversionReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ConversionReview"""

    api_version: str = msgspec.field(default_factory=lambda: "apiextensions.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ConversionReview")
    request: ConversionRequest | None = None
    response: ConversionResponse | None = None


class CustomResourceColumnDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceColumnDefinition"""

    name: str = ""
    type: str = ""
    format: str = ""
    description: str = ""
    priority: int | None = None
    json_path: str = ""


class CustomResourceConversion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion"""

    strategy: str = ""
    webhook: WebhookConversion | None = None


class CustomResourceDefinitionStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus"""

    conditions: tuple[CustomResourceDefinitionCondition, ...] = ()
    accepted_names: CustomResourceDefinitionNames | None = None
    stored_versions: tuple[str, ...] = ()
    observed_generation: int | None = None


class CustomResourceDefinitionSpec(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec"""

    group: str = ""
    names: CustomResourceDefinitionNames | None = None
    scope: str = ""
    versions: tuple[CustomResourceDefinitionVersion, ...] = ()
    conversion: CustomResourceConversion | None = None
    preserve_unknown_fields: bool | None = None


class CustomResourceDefinitionCondition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""
    observed_generation: int | None = None


class CustomResourceDefinitionList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionList"""

    api_version: str = msgspec.field(default_factory=lambda: "apiextensions.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CustomResourceDefinitionList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CustomResourceDefinition, ...] = ()


class CustomResourceDefinitionNames(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames"""

    plural: str = ""
    singular: str = ""
    short_names: tuple[str, ...] = ()
    kind: str = ""
    list_kind: str = ""
    categories: tuple[str, ...] = ()


class CustomResourceDefinitionVersion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionVersion"""

    name: str = ""
    served: bool | None = None
    storage: bool | None = None
    schema: CustomResourceValidation | None = None
    subresources: CustomResourceSubresources | None = None
    additional_printer_columns: tuple[CustomResourceColumnDefinition, ...] = ()
    deprecated: bool | None = None
    deprecation_warning: str = ""
    selectable_fields: tuple[SelectableField, ...] = ()


class CustomResourceSubresourceScale(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceScale"""

    spec_replicas_path: str = ""
    status_replicas_path: str = ""
    label_selector_path: str = ""


class CustomResourceSubresources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresources"""

    status: CustomResourceSubresourceStatus | None = None
    scale: CustomResourceSubresourceScale | None = None


class CustomResourceValidation(
    msgspec.Struct,
    frozen=True, kw_only=True, omit_defaults=True, rename={"open_apiv3_schema": "openAPIV3Schema"},
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceValidation"""

    open_apiv3_schema: JSONSchemaProps | None = None


class ExternalDocumentation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ExternalDocumentation"""

    description: str = ""
    url: str = ""


class JSONSchemaProps(
    msgspec.Struct,
    frozen=True, kw_only=True, omit_defaults=True, rename={"schema": "$schema", "ref": "$ref", "exclusive_maximum": "exclusiveMaximum", "exclusive_minimum": "exclusiveMinimum", "max_length": "maxLength", "min_length": "minLength", "max_items": "maxItems", "min_items": "minItems", "unique_items": "uniqueItems", "multiple_of": "multipleOf", "max_properties": "maxProperties", "min_properties": "minProperties", "all_of": "allOf", "one_of": "oneOf", "any_of": "anyOf", "not_": "not", "additional_properties": "additionalProperties", "pattern_properties": "patternProperties", "additional_items": "additionalItems", "external_docs": "externalDocs", "x_kubernetes_preserve_unknown_fields": "x-kubernetes-preserve-unknown-fields", "x_kubernetes_embedded_resource": "x-kubernetes-embedded-resource", "x_kubernetes_int_or_string": "x-kubernetes-int-or-string", "x_kubernetes_list_map_keys": "x-kubernetes-list-map-keys", "x_kubernetes_list_type": "x-kubernetes-list-type", "x_kubernetes_map_type": "x-kubernetes-map-type", "x_kubernetes_validations": "x-kubernetes-validations"},
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"""

    id: str = ""
    schema: str = ""
    ref: str = ""
    description: str = ""
    type: str = ""
    format: str = ""
    title: str = ""
    default: Any = None
    maximum: float | None = None
    exclusive_maximum: bool | None = None
    minimum: float | None = None
    exclusive_minimum: bool | None = None
    max_length: int | None = None
    min_length: int | None = None
    pattern: str = ""
    max_items: int | None = None
    min_items: int | None = None
    unique_items: bool | None = None
    multiple_of: float | None = None
    enum: tuple[Any, ...] = ()
    max_properties: int | None = None
    min_properties: int | None = None
    required: tuple[str, ...] = ()
    items: JSONSchemaProps | tuple[JSONSchemaProps, ...] | None = None
    all_of: tuple[JSONSchemaProps, ...] = ()
    one_of: tuple[JSONSchemaProps, ...] = ()
    any_of: tuple[JSONSchemaProps, ...] = ()
    not_: JSONSchemaProps | None = None
    properties: dict[str, JSONSchemaProps] = msgspec.field(default_factory=dict)
    additional_properties: JSONSchemaProps | bool | None = None
    pattern_properties: dict[str, JSONSchemaProps] = msgspec.field(default_factory=dict)
    dependencies: dict[str, JSONSchemaProps | tuple[str, ...]] = msgspec.field(default_factory=dict)
    additional_items: JSONSchemaProps | bool | None = None
    definitions: dict[str, JSONSchemaProps] = msgspec.field(default_factory=dict)
    external_docs: ExternalDocumentation | None = None
    example: Any = None
    nullable: bool | None = None
    x_kubernetes_preserve_unknown_fields: bool | None = None
    x_kubernetes_embedded_resource: bool | None = None
    x_kubernetes_int_or_string: bool | None = None
    x_kubernetes_list_map_keys: tuple[str, ...] = ()
    x_kubernetes_list_type: str = ""
    x_kubernetes_map_type: str = ""
    x_kubernetes_validations: tuple[ValidationRule, ...] = ()


class SelectableField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.SelectableField"""

    json_path: str = ""


class ServiceReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ServiceReference"""

    namespace: str = ""
    name: str = ""
    path: str = ""
    port: int | None = None


class ValidationRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ValidationRule"""

    rule: str = ""
    message: str = ""
    message_expression: str = ""
    reason: str = ""
    field_path: str = ""
    optional_old_self: bool | None = None


class WebhookClientConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.WebhookClientConfig"""

    service: ServiceReference | None = None
    ca_bundle: bytes | None = None
    url: str = ""


class WebhookConversion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.WebhookConversion"""

    client_config: WebhookClientConfig | None = None
    conversion_review_versions: tuple[str, ...] = ()


class CustomResourceSubresourceStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus"""


class CustomResourceDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"""

    api_version: str = msgspec.field(default_factory=lambda: "apiextensions.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CustomResourceDefinition")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CustomResourceDefinitionSpec = CustomResourceDefinitionSpec()
    status: CustomResourceDefinitionStatus = CustomResourceDefinitionStatus()
