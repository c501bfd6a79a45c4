"""Where Kubernetes' JSON differs from its protobuf messages, as tables. The generator and the wire converters share it.

Nothing here imports protobuf.
"""

from __future__ import annotations

import keyword
import re

META = "k8s.io.apimachinery.pkg.apis.meta.v1"
CORE = "k8s.io.api.core.v1"
APIEXTENSIONS = "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1"

INLINED = frozenset(
    {
        (f"{CORE}.Volume", "volumeSource"),
        (f"{CORE}.PersistentVolumeSpec", "persistentVolumeSource"),
        (f"{CORE}.Probe", "handler"),
        (f"{CORE}.EphemeralContainer", "ephemeralContainerCommon"),
        (f"{CORE}.ConfigMapEnvSource", "localObjectReference"),
        (f"{CORE}.ConfigMapKeySelector", "localObjectReference"),
        (f"{CORE}.ConfigMapProjection", "localObjectReference"),
        (f"{CORE}.ConfigMapVolumeSource", "localObjectReference"),
        (f"{CORE}.SecretEnvSource", "localObjectReference"),
        (f"{CORE}.SecretKeySelector", "localObjectReference"),
        (f"{CORE}.SecretProjection", "localObjectReference"),
        ("k8s.io.api.networking.v1.IngressRule", "ingressRuleValue"),
        ("k8s.io.api.admissionregistration.v1.RuleWithOperations", "rule"),
        ("k8s.io.api.admissionregistration.v1.NamedRuleWithOperations", "ruleWithOperations"),
    }
)
"""(message, field): the field's own fields stand in its parent's JSON object."""

QUANTITY = "k8s.io.apimachinery.pkg.api.resource.Quantity"
INT_OR_STRING = "k8s.io.apimachinery.pkg.util.intstr.IntOrString"
RAW_JSON = frozenset({"k8s.io.apimachinery.pkg.runtime.RawExtension", f"{META}.FieldsV1", f"{APIEXTENSIONS}.JSON"})
TIMES = frozenset({f"{META}.Time", f"{META}.MicroTime", f"{META}.Timestamp"})
KEEPERS = {f"{META}.Time": "keep_seconds", f"{META}.MicroTime": "keep_micros"}
"""Functions of :mod:`knarr_api.time` that bring a field's time into the form its JSON has."""
DURATION = f"{META}.Duration"
STRING_LISTS = frozenset(
    {
        f"{META}.Verbs",
        "k8s.io.api.authentication.v1.AttestationValue",
        "k8s.io.api.authentication.v1.ExtraValue",
        "k8s.io.api.authorization.v1.ExtraValue",
        "k8s.io.api.certificates.v1.ExtraValue",
    }
)
"""Messages with a list ``items`` that are that list in JSON."""
SCHEMA_OR_ARRAY = f"{APIEXTENSIONS}.JSONSchemaPropsOrArray"
SCHEMA_OR_BOOL = f"{APIEXTENSIONS}.JSONSchemaPropsOrBool"
SCHEMA_OR_STRINGS = f"{APIEXTENSIONS}.JSONSchemaPropsOrStringArray"

POINTER_STRINGS = frozenset(
    {
        (f"{CORE}.PersistentVolumeClaimSpec", "storageClassName"),
        (f"{CORE}.PersistentVolumeClaimSpec", "volumeAttributesClassName"),
        (f"{CORE}.PersistentVolumeSpec", "volumeAttributesClassName"),
        (f"{CORE}.ServiceSpec", "loadBalancerClass"),
        ("k8s.io.api.discovery.v1.EndpointPort", "name"),
        ("k8s.io.api.networking.v1.IngressSpec", "ingressClassName"),
        ("k8s.io.api.coordination.v1.LeaseSpec", "holderIdentity"),
        ("k8s.io.api.coordination.v1.LeaseSpec", "preferredHolder"),
    }
)
"""(message, field): strings whose empty value says something else than their absence."""


_ADMISSION = "k8s.io.api.admissionregistration.v1"
JSON_NAMES = {
    (f"{_ADMISSION}.MutatingWebhookConfiguration", "Webhooks"): "webhooks",
    (f"{_ADMISSION}.ValidatingWebhookConfiguration", "Webhooks"): "webhooks",
    (f"{_ADMISSION}.Validation", "Expression"): "expression",
    (f"{_ADMISSION}.Variable", "Name"): "name",
    (f"{_ADMISSION}.Variable", "Expression"): "expression",
    ("k8s.io.api.authentication.v1.BoundObjectReference", "uID"): "uid",
    ("k8s.io.api.networking.v1.IngressClassParametersReference", "aPIGroup"): "apiGroup",
}
"""(message, field): names that differ between JSON and protobuf."""


def json_name(message: str, field: str) -> str:
    """Name in JSON of a message's field."""
    if message == f"{APIEXTENSIONS}.JSONSchemaProps":
        if field in ("ref", "schema"):
            return f"${field}"
        if field.startswith("xKubernetes"):
            return re.sub(r"(?<!^)([A-Z])", lambda match: f"-{match[1].lower()}", field)
    return JSON_NAMES.get((message, field), field)


def attribute_name(message: str, field: str) -> str:
    """Python name: ``podIPs`` is ``pod_ips``; what Python reserves gets an underscore."""
    name = JSON_NAMES.get((message, field), field)
    name = re.sub(r"([A-Z]{2,})s(?=[A-Z]|$)", lambda match: f"{match[1].capitalize()}s", name)
    name = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", name)
    name = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", name).lower()
    return f"{name}_" if keyword.iskeyword(name) or name == "exec" else name


def group_of(package: str) -> str:
    """API group of a proto package: the core group is the empty string."""
    first = package.removeprefix("k8s.io.api.").split(".")[0]
    if package.startswith(("k8s.io.apimachinery", "k8s.io.api.core")):
        return ""
    if package == APIEXTENSIONS:
        return "apiextensions.k8s.io"
    if package.startswith("k8s.io.metrics"):
        return {
            "metrics": "metrics.k8s.io",
            "custom_metrics": "custom.metrics.k8s.io",
            "external_metrics": "external.metrics.k8s.io",
        }[package.split(".")[-2]]
    if first in ("apps", "batch", "autoscaling", "policy"):
        return first
    return "rbac.authorization.k8s.io" if first == "rbac" else f"{first}.k8s.io"


def api_version_of(package: str, kind: str) -> str:
    """``apps/v1``; ``v1`` in the core group; what every group shares is in ``meta.k8s.io`` where it is a kind."""
    version = package.rsplit(".", 1)[1]
    if package == META and kind in ("Table", "PartialObjectMetadata", "PartialObjectMetadataList"):
        return f"meta.k8s.io/{version}"
    group = group_of(package)
    return f"{group}/{version}" if group else version


def module_of(package: str) -> str:
    """Short module name of a proto package, the same below ``knarr_proto.k8s`` and ``knarr_api.types``."""
    fixed = {
        "k8s.io.apimachinery.pkg.api.resource": "resource",
        "k8s.io.apimachinery.pkg.runtime": "runtime",
        "k8s.io.apimachinery.pkg.util.intstr": "intstr",
    }
    return fixed.get(package) or "_".join(package.split(".")[-2:])
