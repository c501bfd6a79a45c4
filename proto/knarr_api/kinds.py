"""Which kinds there are: their names, scope and where their values and keys are.

The table is Kubernetes' own naming; types are imported when asked for, so that this module costs nothing.
"""

from __future__ import annotations

import builtins
import difflib
import functools
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, cast

import msgspec

from knarr_api.errors import NotFound

ACTING = frozenset(
    {
        *("Namespace", "Node", "Pod", "ConfigMap", "Secret", "Event"),
        *("ReplicaSet", "ReplicationController", "Deployment"),
        *("DaemonSet", "StatefulSet", "ControllerRevision", "Job", "CronJob"),
        *("Lease", "PriorityClass", "PodDisruptionBudget", "LimitRange", "ResourceQuota"),
        *("ReplicaSet", "Deployment", "DaemonSet", "StatefulSet", "ControllerRevision", "Job", "CronJob"),
        *(
            "Lease",
            "PriorityClass",
            "PodDisruptionBudget",
            "LimitRange",
            "ResourceQuota",
            "HorizontalPodAutoscaler",
            "ServiceAccount",
        ),
    }
)
"""Kinds that Knarr acts on; every other one is stored, validated by type and served."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One served kind; there is one of each. group is empty for the core group."""

    group: str
    version: str
    kind: str
    resource: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    module: str

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def list_kind(self) -> str:
        return f"{self.kind}List"

    @property
    def acting(self) -> bool:
        return (self.kind in ACTING and self.module != "events_v1") or self.group == "metrics.k8s.io"

    @cached_property
    def api_version(self) -> str:
        """``apps/v1``, or ``v1`` in the core group."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @cached_property
    def qualified(self) -> str:
        """``deployments.apps``; just ``pods`` in the core group."""
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def qualified_kind(self) -> str:
        """``Deployment.apps``, as messages name it."""
        return f"{self.kind}.{self.group}" if self.group else self.kind

    @cached_property
    def key_prefix(self) -> str:
        """Prefix of all keys of the kind in the store."""
        return f"/registry/{self.group or 'core'}/{self.resource}/"

    def key(self, namespace: str, name: str) -> str:
        """Key of one object in the store."""
        return f"{self.key_prefix}{namespace}/{name}" if self.namespaced else f"{self.key_prefix}{name}"

    @cached_property
    def type(self) -> builtins.type[msgspec.Struct]:
        """The value type."""
        return cast("builtins.type[msgspec.Struct]", getattr(_module(self.module), self.kind))

    @cached_property
    def list_type(self) -> builtins.type[msgspec.Struct]:
        """The value type of its list."""
        return cast("builtins.type[msgspec.Struct]", getattr(_module(self.module), self.list_kind))


def _table() -> Iterator[Kind]:
    def kinds(module: str, group: str, *rows: tuple[str, str, str, bool]) -> Iterator[Kind]:
        version = module.rsplit("_", 1)[1]
        for kind, resource, short_names, namespaced in rows:
            yield Kind(
                group=group,
                version=version,
                kind=kind,
                resource=resource,
                short_names=tuple(short_names.split()),
                namespaced=namespaced,
                module=module,
            )

    yield from kinds(
        "core_v1",
        "",
        ("ConfigMap", "configmaps", "cm", True),
        ("Endpoints", "endpoints", "ep", True),
        ("Event", "events", "ev", True),
        ("LimitRange", "limitranges", "limits", True),
        ("Namespace", "namespaces", "ns", False),
        ("Node", "nodes", "no", False),
        ("PersistentVolume", "persistentvolumes", "pv", False),
        ("PersistentVolumeClaim", "persistentvolumeclaims", "pvc", True),
        ("Pod", "pods", "po", True),
        ("PodTemplate", "podtemplates", "", True),
        ("ReplicationController", "replicationcontrollers", "rc", True),
        ("ResourceQuota", "resourcequotas", "quota", True),
        ("Secret", "secrets", "", True),
        ("Service", "services", "svc", True),
        ("ServiceAccount", "serviceaccounts", "sa", True),
    )
    yield from kinds(
        "apps_v1",
        "apps",
        ("ControllerRevision", "controllerrevisions", "", True),
        ("DaemonSet", "daemonsets", "ds", True),
        ("Deployment", "deployments", "deploy", True),
        ("ReplicaSet", "replicasets", "rs", True),
        ("StatefulSet", "statefulsets", "sts", True),
    )
    yield from kinds("batch_v1", "batch", ("CronJob", "cronjobs", "cj", True), ("Job", "jobs", "", True))
    yield from kinds("coordination_v1", "coordination.k8s.io", ("Lease", "leases", "", True))
    yield from kinds(
        "autoscaling_v2", "autoscaling", ("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", True)
    )
    yield from kinds(
        "autoscaling_v1", "autoscaling", ("HorizontalPodAutoscaler", "horizontalpodautoscalers", "hpa", True)
    )
    yield from kinds("policy_v1", "policy", ("PodDisruptionBudget", "poddisruptionbudgets", "pdb", True))
    yield from kinds(
        "networking_v1",
        "networking.k8s.io",
        ("Ingress", "ingresses", "ing", True),
        ("IngressClass", "ingressclasses", "", False),
        ("IPAddress", "ipaddresses", "ip", False),
        ("NetworkPolicy", "networkpolicies", "netpol", True),
        ("ServiceCIDR", "servicecidrs", "", False),
    )
    yield from kinds("discovery_v1", "discovery.k8s.io", ("EndpointSlice", "endpointslices", "", True))
    yield from kinds("events_v1", "events.k8s.io", ("Event", "events", "ev", True))
    yield from kinds(
        "rbac_v1",
        "rbac.authorization.k8s.io",
        ("ClusterRole", "clusterroles", "", False),
        ("ClusterRoleBinding", "clusterrolebindings", "", False),
        ("Role", "roles", "", True),
        ("RoleBinding", "rolebindings", "", True),
    )
    yield from kinds(
        "storage_v1",
        "storage.k8s.io",
        ("CSIDriver", "csidrivers", "", False),
        ("CSINode", "csinodes", "", False),
        ("CSIStorageCapacity", "csistoragecapacities", "", True),
        ("StorageClass", "storageclasses", "sc", False),
        ("VolumeAttachment", "volumeattachments", "", False),
        ("VolumeAttributesClass", "volumeattributesclasses", "vac", False),
    )
    yield from kinds("scheduling_v1", "scheduling.k8s.io", ("PriorityClass", "priorityclasses", "pc", False))
    yield from kinds("node_v1", "node.k8s.io", ("RuntimeClass", "runtimeclasses", "", False))
    yield from kinds(
        "certificates_v1",
        "certificates.k8s.io",
        ("CertificateSigningRequest", "certificatesigningrequests", "csr", False),
    )
    yield from kinds(
        "admissionregistration_v1",
        "admissionregistration.k8s.io",
        ("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "", False),
        ("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "", False),
        ("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "", False),
        ("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "", False),
        ("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "", False),
        ("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "", False),
    )
    yield from kinds(
        "apiextensions_v1",
        "apiextensions.k8s.io",
        ("CustomResourceDefinition", "customresourcedefinitions", "crd crds", False),
    )


KINDS: tuple[Kind, ...] = tuple(_table())
"""All that are stored."""
COMPUTED = tuple(
    Kind(group="metrics.k8s.io", version="v1beta1", kind=kind, resource=resource, namespaced=namespaced, module=module)
    for kind, resource, namespaced, module in (
        ("NodeMetrics", "nodes", False, "metrics_v1beta1"),
        ("PodMetrics", "pods", True, "metrics_v1beta1"),
    )
)
"""Those that can only be read: they are made of what agents report."""
_ALL = (*KINDS, *COMPUTED)
_BY_KIND = {(kind.api_version, kind.kind): kind for kind in _ALL}
_BY_CLASS = {(kind.module, kind.kind): kind for kind in _ALL}


def of(type_or_obj: Any) -> Kind:
    """The kind of a value or its type. Raises NotFound for what is no top-level object."""
    return _of_type(type_or_obj if isinstance(type_or_obj, type) else type(type_or_obj))


@functools.cache
def _of_type(type_: type[Any]) -> Kind:
    try:
        return _BY_CLASS[(type_.__module__.rpartition(".")[2], type_.__name__)]
    except KeyError:
        raise NotFound(f"{type_.__module__}.{type_.__name__} is no kind of the API") from None


def by_kind(api_version: str, kind: str) -> Kind:
    """The kind that a manifest names. Raises NotFound with the nearest names."""
    found = _BY_KIND.get((api_version, kind))
    if found is not None:
        return found
    same = sorted(known.api_version for known in _ALL if known.kind == kind)
    if same:
        hint = f"{kind} is in {' and '.join(same)}"
    else:
        hint = _did_you_mean(kind, [known.kind for known in _ALL])
    raise NotFound(f'no matches for kind "{kind}" in version "{api_version}"' + (f": {hint}" if hint else ""))


@lru_cache(maxsize=1024)
def lookup(name: str) -> Kind:
    """A kind by plural, singular, kind or short name, with group and version if wanted.

    ``deploy``, ``deployments.apps``, ``deployments.v1.apps``, ``Deployment``. Where several groups have the name the
    first of the table counts, and so the core group. Raises NotFound with the nearest names.
    """
    word, _, rest = name.partition(".")
    lowered = word.lower()
    for kind in _ALL:
        if lowered in (kind.resource, kind.singular, *kind.short_names) and rest in (
            "",
            kind.group,
            f"{kind.version}.{kind.group}",
            kind.version,
        ):
            return kind
    hint = _did_you_mean(
        lowered, [known for kind in _ALL for known in (kind.resource, kind.singular, *kind.short_names)]
    )
    raise NotFound(f'the server doesn\'t have a resource type "{name}"' + (f": {hint}" if hint else ""))


def find(group: str, version: str, resource: str) -> Kind:
    """As ``lookup``, from the parts of a request; empty parts are free."""
    return lookup(".".join(part for part in (resource, version if group or version else "", group) if part))


def _did_you_mean(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, list(dict.fromkeys(known)), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else ""


def _module(name: str) -> Any:
    return importlib.import_module(f"knarr_api.types.{name}")
