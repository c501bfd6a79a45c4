"""Values of k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.

Generated from knarr_proto/k8s/apiextensions_v1.proto by ``./dev proto``: do not edit.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from knarr_api.numbers import Int32, Int64, Number
from knarr_api.time import keep_seconds
from knarr_api.types import meta_v1


class ConversionRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ConversionRequest"""

    uid: str = ""
    desired_api_version: str = msgspec.field(default="", name="desiredAPIVersion")
    objects: tuple[Any, ...] = ()


class ConversionResponse(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ConversionResponse"""

    uid: str = ""
    converted_objects: tuple[Any, ...] = ()
    result: meta_v1.Status | None = None


class ConversionReview(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ConversionReview"""

    api_version: str = msgspec.field(default_factory=lambda: "apiextensions.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "ConversionReview")
    request: ConversionRequest | None = None
    response: ConversionResponse | None = None


class CustomResourceColumnDefinition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceColumnDefinition"""

    name: str = ""
    type: str = ""
    format: str = ""
    description: str = ""
    priority: Int32 | None = None
    json_path: str = ""


class CustomResourceConversion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceConversion"""

    strategy: str = ""
    webhook: WebhookConversion | None = None


class CustomResourceDefinitionSpec(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionSpec"""

    group: str = ""
    names: CustomResourceDefinitionNames | None = None
    scope: str = ""
    versions: tuple[CustomResourceDefinitionVersion, ...] = ()
    conversion: CustomResourceConversion | None = None
    preserve_unknown_fields: bool | None = None


class CustomResourceDefinitionStatus(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionStatus"""

    conditions: tuple[CustomResourceDefinitionCondition, ...] = ()
    accepted_names: CustomResourceDefinitionNames | None = None
    stored_versions: tuple[str, ...] = ()
    observed_generation: Int64 | None = None


class CustomResourceDefinition(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition"""

    api_version: str = msgspec.field(default_factory=lambda: "apiextensions.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CustomResourceDefinition")
    metadata: meta_v1.ObjectMeta = meta_v1.ObjectMeta()
    spec: CustomResourceDefinitionSpec = CustomResourceDefinitionSpec()
    status: CustomResourceDefinitionStatus = CustomResourceDefinitionStatus()


class CustomResourceDefinitionCondition(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionCondition"""

    type: str = ""
    status: str = ""
    last_transition_time: datetime.datetime | None = None
    reason: str = ""
    message: str = ""
    observed_generation: Int64 | None = None

    def __post_init__(self) -> None:
        if self.last_transition_time is not None:
            keep_seconds(self, "last_transition_time", self.last_transition_time)


class CustomResourceDefinitionList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionList"""

    api_version: str = msgspec.field(default_factory=lambda: "apiextensions.k8s.io/v1", name="apiVersion")
    kind: str = msgspec.field(default_factory=lambda: "CustomResourceDefinitionList")
    metadata: meta_v1.ListMeta = meta_v1.ListMeta()
    items: tuple[CustomResourceDefinition, ...] = ()


class CustomResourceDefinitionNames(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinitionNames"""

    plural: str = ""
    singular: str = ""
    short_names: tuple[str, ...] = ()
    kind: str = ""
    list_kind: str = ""
    categories: tuple[str, ...] = ()


class CustomResourceDefinitionVersion(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
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


class CustomResourceSubresourceScale(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"
):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceScale"""

    spec_replicas_path: str = ""
    status_replicas_path: str = ""
    label_selector_path: str = ""


class CustomResourceSubresources(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresources"""

    status: CustomResourceSubresourceStatus | None = None
    scale: CustomResourceSubresourceScale | None = None


class CustomResourceValidation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceValidation"""

    open_apiv3_schema: JSONSchemaProps | None = msgspec.field(default=None, name="openAPIV3Schema")


class ExternalDocumentation(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ExternalDocumentation"""

    description: str = ""
    url: str = ""


class JSONSchemaProps(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"""

    id: str = ""
    schema: str = msgspec.field(default="", name="$schema")
    ref: str = msgspec.field(default="", name="$ref")
    description: str = ""
    type: str = ""
    format: str = ""
    title: str = ""
    default: Any = None
    maximum: Number | None = None
    exclusive_maximum: bool | None = None
    minimum: Number | None = None
    exclusive_minimum: bool | None = None
    max_length: Int64 | None = None
    min_length: Int64 | None = None
    pattern: str = ""
    max_items: Int64 | None = None
    min_items: Int64 | None = None
    unique_items: bool | None = None
    multiple_of: Number | None = None
    enum: tuple[Any, ...] = ()
    max_properties: Int64 | None = None
    min_properties: Int64 | None = None
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
    x_kubernetes_preserve_unknown_fields: bool | None = msgspec.field(
        default=None, name="x-kubernetes-preserve-unknown-fields"
    )
    x_kubernetes_embedded_resource: bool | None = msgspec.field(default=None, name="x-kubernetes-embedded-resource")
    x_kubernetes_int_or_string: bool | None = msgspec.field(default=None, name="x-kubernetes-int-or-string")
    x_kubernetes_list_map_keys: tuple[str, ...] = msgspec.field(default=(), name="x-kubernetes-list-map-keys")
    x_kubernetes_list_type: str = msgspec.field(default="", name="x-kubernetes-list-type")
    x_kubernetes_map_type: str = msgspec.field(default="", name="x-kubernetes-map-type")
    x_kubernetes_validations: tuple[ValidationRule, ...] = msgspec.field(default=(), name="x-kubernetes-validations")


class SelectableField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.SelectableField"""

    json_path: str = ""


class ServiceReference(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ServiceReference"""

    namespace: str = ""
    name: str = ""
    path: str = ""
    port: Int32 | None = None


class ValidationRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.ValidationRule"""

    rule: str = ""
    message: str = ""
    message_expression: str = ""
    reason: str = ""
    field_path: str = ""
    optional_old_self: bool | None = None


class WebhookClientConfig(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.WebhookClientConfig"""

    service: ServiceReference | None = None
    ca_bundle: bytes = b""
    url: str = ""


class WebhookConversion(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, rename="camel"):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.WebhookConversion"""

    client_config: WebhookClientConfig | None = None
    conversion_review_versions: tuple[str, ...] = ()


class CustomResourceSubresourceStatus(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1.CustomResourceSubresourceStatus"""
