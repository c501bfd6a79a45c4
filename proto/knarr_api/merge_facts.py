"""How the parts of lists and objects are told apart when writes of several clients are merged: facts as a table.

Source: the ``x-kubernetes-list-type``, ``-list-map-keys``, ``-map-type``, ``-patch-strategy`` and ``-patch-merge-key``
of Kubernetes 1.37's published OpenAPI schema. Lists that are not named are ``atomic``, objects and maps ``granular``.

One block per message, named as its value type; ``*`` is the message itself:

=================  ===============================================================================================
``map(a b)``       server-side apply tells the items of the list apart by these fields
``set``            by their values
``atomic``         the whole has one owner
``merge(key)``     strategic merge patch merges items of the same key; ``merge`` alone is for lists of plain values
``retainKeys``     a strategic merge patch may name the only fields that stay
``replace``        a strategic merge patch replaces the whole
=================  ===============================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

TABLE = """
admissionregistration_v1.MatchResources
  *                                  atomic
admissionregistration_v1.MutatingAdmissionPolicySpec
  matchConditions                    map(name) merge(name)
admissionregistration_v1.MutatingWebhook
  matchConditions                    map(name) merge(name)
admissionregistration_v1.MutatingWebhookConfiguration
  webhooks                           map(name) merge(name)
admissionregistration_v1.NamedRuleWithOperations
  *                                  atomic
admissionregistration_v1.ParamKind
  *                                  atomic
admissionregistration_v1.ParamRef
  *                                  atomic
admissionregistration_v1.ValidatingAdmissionPolicyBindingSpec
  validationActions                  set
admissionregistration_v1.ValidatingAdmissionPolicySpec
  matchConditions                    map(name) merge(name)
  variables                          map(name) merge(name)
admissionregistration_v1.ValidatingAdmissionPolicyStatus
  conditions                         map(type)
admissionregistration_v1.ValidatingWebhook
  matchConditions                    map(name) merge(name)
admissionregistration_v1.ValidatingWebhookConfiguration
  webhooks                           map(name) merge(name)
admissionregistration_v1.Variable
  *                                  atomic
apiextensions_v1.CustomResourceDefinitionStatus
  conditions                         map(type)
apiextensions_v1.JSONSchemaProps
  x-kubernetes-validations           map(rule) merge(rule)
apps_v1.DaemonSetStatus
  conditions                         map(type) merge(type)
apps_v1.DeploymentSpec
  strategy                           retainKeys
apps_v1.DeploymentStatus
  conditions                         map(type) merge(type)
apps_v1.ReplicaSetStatus
  conditions                         map(type) merge(type)
apps_v1.StatefulSetStatus
  conditions                         map(type) merge(type)
autoscaling_v1.CrossVersionObjectReference
  *                                  atomic
autoscaling_v2.HorizontalPodAutoscalerStatus
  conditions                         map(type) merge(type)
batch_v1.JobStatus
  conditions                         atomic merge(type)
batch_v1.PodFailurePolicyOnExitCodesRequirement
  values                             set
batch_v1.UncountedTerminatedPods
  failed                             set
  succeeded                          set
certificates_v1.CertificateSigningRequestStatus
  conditions                         map(type)
certificates_v1.PodCertificateRequestStatus
  conditions                         map(type) merge(type)
core_v1.ComponentStatus
  conditions                         map(type) merge(type)
core_v1.ConfigMapKeySelector
  *                                  atomic
core_v1.Container
  env                                map(name) merge(name)
  ports                              map(containerPort protocol) merge(containerPort)
  volumeDevices                      map(devicePath) merge(devicePath)
  volumeMounts                       map(mountPath) merge(mountPath)
core_v1.ContainerRestartRuleOnExitCodes
  values                             set
core_v1.ContainerStatus
  allocatedResourcesStatus           map(name) merge(name)
  volumeMounts                       map(mountPath) merge(mountPath)
core_v1.EndpointAddress
  *                                  atomic
core_v1.EndpointPort
  *                                  atomic
core_v1.EphemeralContainer
  env                                map(name) merge(name)
  ports                              map(containerPort protocol) merge(containerPort)
  volumeDevices                      map(devicePath) merge(devicePath)
  volumeMounts                       map(mountPath) merge(mountPath)
core_v1.EvictionResponder
  *                                  atomic
core_v1.FileKeySelector
  *                                  atomic
core_v1.LocalObjectReference
  *                                  atomic
core_v1.NamespaceStatus
  conditions                         map(type) merge(type)
core_v1.NodeAllocatableResourceClaimStatus
  containers                         set
  mapping                            map(name) merge(name)
  overhead                           map(name) merge(name)
core_v1.NodePodPreemptionPolicy
  disableResizePreemption            set
core_v1.NodeSelector
  *                                  atomic
core_v1.NodeSelectorTerm
  *                                  atomic
core_v1.NodeSpec
  podCIDRs                           set merge
core_v1.NodeStatus
  addresses                          map(type) merge(type)
  conditions                         map(type) merge(type)
core_v1.ObjectFieldSelector
  *                                  atomic
core_v1.ObjectReference
  *                                  atomic
core_v1.PersistentVolumeClaimStatus
  conditions                         map(type) merge(type)
core_v1.PodSpec
  containers                         map(name) merge(name)
  ephemeralContainers                map(name) merge(name)
  evictionResponders                 map(name) merge(name)
  hostAliases                        map(ip) merge(ip)
  imagePullSecrets                   map(name) merge(name)
  initContainers                     map(name) merge(name)
  nodeSelector                       atomic
  resourceClaims                     map(name) merge+retainKeys(name)
  schedulingGates                    map(name) merge(name)
  topologySpreadConstraints          map(topologyKey whenUnsatisfiable) merge(topologyKey)
  volumes                            map(name) merge+retainKeys(name)
core_v1.PodStatus
  conditions                         map(type) merge(type)
  hostIPs                            atomic merge(ip)
  nodeAllocatableResourceClaimStatuses map(resourceClaimName) merge(resourceClaimName)
  podIPs                             map(ip) merge(ip)
  resourceClaimStatuses              map(name) merge+retainKeys(name)
  volumeHealth                       map(name)
core_v1.PodVolumeHealth
  healthConditions                   map(status reason) merge(status)
core_v1.ReplicationControllerSpec
  selector                           atomic
core_v1.ReplicationControllerStatus
  conditions                         map(type) merge(type)
core_v1.ResourceFieldSelector
  *                                  atomic
core_v1.ResourceRequirements
  claims                             map(name)
core_v1.ResourceStatus
  resources                          map(resourceID)
core_v1.ScopeSelector
  *                                  atomic
core_v1.SecretKeySelector
  *                                  atomic
core_v1.SecretReference
  *                                  atomic
core_v1.ServiceAccount
  secrets                            map(name) merge(name)
core_v1.ServiceSpec
  ports                              map(port protocol) merge(port)
  selector                           atomic
core_v1.ServiceStatus
  conditions                         map(type) merge(type)
core_v1.TopologySelectorTerm
  *                                  atomic
core_v1.TypedLocalObjectReference
  *                                  atomic
core_v1.VolumeHealthStatus
  healthConditions                   map(status reason) merge(status)
core_v1.VolumeMount
  bindMountOptions                   set
discovery_v1.Endpoint
  addresses                          set
discovery_v1.EndpointPort
  *                                  atomic
meta_v1.LabelSelector
  *                                  atomic
meta_v1.ObjectMeta
  finalizers                         set merge
  ownerReferences                    map(uid) merge(uid)
meta_v1.OwnerReference
  *                                  atomic
networking_v1.ServiceBackendPort
  *                                  atomic
networking_v1.ServiceCIDRStatus
  conditions                         map(type) merge(type)
node_v1.Scheduling
  nodeSelector                       atomic
policy_v1.PodDisruptionBudgetSpec
  selector                           replace
policy_v1.PodDisruptionBudgetStatus
  conditions                         map(type) merge(type)
rbac_v1.RoleRef
  *                                  atomic
rbac_v1.Subject
  *                                  atomic
storage_v1.CSIDriverSpec
  volumeLifecycleModes               set
storage_v1.CSINodeSpec
  drivers                            map(name) merge(name)
storage_v1.CSINodeStatus
  storageHealth                      map(name) merge(name)
"""
KEY_DEFAULTS: Mapping[str, str] = {"protocol": "TCP"}
"""What the absence of a key field stands for."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one field, or of a message. parts: map, set, atomic, or empty for what is usual."""

    parts: str = ""
    keys: tuple[str, ...] = ()
    strategies: frozenset[str] = field(default=frozenset())
    merge_key: str = ""


NONE = Facts()


def of(message: str, name: str = "*") -> Facts:
    """``of("core_v1.PodSpec", "containers")``: facts of a field by its name in JSON."""
    return _table().get((message, name), NONE)


@lru_cache(maxsize=1)
def _table() -> Mapping[tuple[str, str], Facts]:
    table: dict[tuple[str, str], Facts] = {}
    message = ""
    for line in TABLE.strip().splitlines():
        if not line.startswith(" "):
            message = line
            continue
        name, _, rest = line.strip().partition(" ")
        table[(message, name)] = _facts(rest)
    return table


def _facts(text: str) -> Facts:
    parts, keys, merge_key = "", (), ""
    strategies: set[str] = set()
    for words, inside in re.findall(r"([\w+]+)(?:\(([\w ]+)\))?", text):
        if words in ("map", "set", "atomic"):
            parts, keys = words, tuple(inside.split())
        else:
            strategies.update(words.split("+"))
            merge_key = inside
    return Facts(parts, keys, frozenset(strategies), merge_key)
