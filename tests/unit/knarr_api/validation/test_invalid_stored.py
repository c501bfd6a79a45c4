"""Kinds that are stored and served, one thing wrong at a time: services, volumes, roles, admission and the like."""

from __future__ import annotations

from typing import Any

import pytest

from knarr_api import defaults, json, kinds, validation
from knarr_api.merge_patch import merge_patch


def made(api_version: str, kind: str, name: str = "x", **fields: Any) -> dict[str, Any]:
    metadata = {"name": name}
    if kinds.by_kind(api_version, kind).namespaced:
        metadata["namespace"] = "default"
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **fields}


BACKEND = {"service": {"name": "web", "port": {"number": 80}}}
PATH = {"path": "/", "pathType": "Prefix", "backend": BACKEND}
RULE = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
RBAC = "rbac.authorization.k8s.io"
HOOK = {
    "name": "check.example.com",
    "clientConfig": {"url": "https://example.com/check"},
    "sideEffects": "None",
    "admissionReviewVersions": ["v1"],
    "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
}
MATCHES = {"resourceRules": HOOK["rules"]}
VERSION = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object"}}}
GOOD: dict[str, dict[str, Any]] = {
    "service": made("v1", "Service", spec={"selector": {"app": "web"}, "ports": [{"port": 80}]}),
    "endpoints": made("v1", "Endpoints", subsets=[{"addresses": [{"ip": "10.1.2.3"}], "ports": [{"port": 80}]}]),
    "slice": made(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        addressType="IPv4",
        endpoints=[{"addresses": ["10.1.2.3"]}],
        ports=[{"port": 80}],
    ),
    "ingress": made(
        "networking.k8s.io/v1", "Ingress", spec={"rules": [{"host": "a.example", "http": {"paths": [PATH]}}]}
    ),
    "ingressclass": made("networking.k8s.io/v1", "IngressClass", spec={"controller": "example.com/nginx"}),
    "policy": made("networking.k8s.io/v1", "NetworkPolicy", spec={"podSelector": {}}),
    "address": made(
        "networking.k8s.io/v1", "IPAddress", "10.1.2.3", spec={"parentRef": {"resource": "services", "name": "web"}}
    ),
    "cidr": made("networking.k8s.io/v1", "ServiceCIDR", spec={"cidrs": ["10.0.0.0/24"]}),
    "volume": made(
        "v1",
        "PersistentVolume",
        spec={"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/data"}},
    ),
    "claim": made(
        "v1",
        "PersistentVolumeClaim",
        spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
    ),
    "class": made("storage.k8s.io/v1", "StorageClass", provisioner="example.com/disk"),
    "attributes": made(
        "storage.k8s.io/v1", "VolumeAttributesClass", driverName="disk.example.com", parameters={"iops": "100"}
    ),
    "attachment": made(
        "storage.k8s.io/v1",
        "VolumeAttachment",
        spec={"attacher": "disk.example.com", "nodeName": "n1", "source": {"persistentVolumeName": "v"}},
    ),
    "driver": made("storage.k8s.io/v1", "CSIDriver", "disk.example.com", spec={}),
    "csinode": made("storage.k8s.io/v1", "CSINode", spec={"drivers": [{"name": "disk.example.com", "nodeID": "7"}]}),
    "capacity": made("storage.k8s.io/v1", "CSIStorageCapacity", storageClassName="fast"),
    "account": made("v1", "ServiceAccount"),
    "role": made(f"{RBAC}/v1", "Role", rules=[RULE]),
    "clusterrole": made(f"{RBAC}/v1", "ClusterRole", rules=[RULE]),
    "binding": made(
        f"{RBAC}/v1",
        "RoleBinding",
        roleRef={"kind": "Role", "name": "r"},
        subjects=[{"kind": "User", "name": "ada"}],
    ),
    "clusterbinding": made(
        f"{RBAC}/v1",
        "ClusterRoleBinding",
        roleRef={"kind": "ClusterRole", "name": "r"},
        subjects=[{"kind": "Group", "name": "dev"}],
    ),
    "csr": made(
        "certificates.k8s.io/v1",
        "CertificateSigningRequest",
        spec={
            "request": "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K",
            "signerName": "example.com/signer",
            "usages": ["client auth"],
        },
    ),
    "template": made("v1", "PodTemplate", template={"spec": {"containers": [{"name": "c", "image": "web:1"}]}}),
    "priority": made("scheduling.k8s.io/v1", "PriorityClass", value=10),
    "runtime": made("node.k8s.io/v1", "RuntimeClass", handler="fast"),
    "crd": made(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "ships.example.com",
        spec={
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "ships", "kind": "Ship"},
            "versions": [VERSION],
        },
    ),
    "mutating": made("admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", webhooks=[HOOK]),
    "validating": made("admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", webhooks=[HOOK]),
    "vap": made(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicy",
        spec={"matchConstraints": MATCHES, "validations": [{"expression": "true"}]},
    ),
    "vapb": made(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        spec={"policyName": "p", "validationActions": ["Deny"]},
    ),
    "map": made(
        "admissionregistration.k8s.io/v1",
        "MutatingAdmissionPolicy",
        spec={"matchConstraints": MATCHES, "reinvocationPolicy": "Never", "mutations": [{"patchType": "JSONPatch"}]},
    ),
    "mapb": made("admissionregistration.k8s.io/v1", "MutatingAdmissionPolicyBinding", spec={"policyName": "p"}),
    "hpa": made(
        "autoscaling/v2",
        "HorizontalPodAutoscaler",
        spec={"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}},
    ),
    "limits": made("v1", "LimitRange", spec={"limits": [{"type": "Container", "max": {"cpu": "1"}}]}),
    "quota": made("v1", "ResourceQuota", spec={"hard": {"pods": "3"}}),
    "pdb": made("policy/v1", "PodDisruptionBudget", spec={"minAvailable": 1, "selector": {"matchLabels": {"a": "b"}}}),
}


def spec(**fields: Any) -> dict[str, Any]:
    return {"spec": fields}


def ports(*given: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return spec(ports=list(given), **fields)


def paths(**fields: Any) -> dict[str, Any]:
    return spec(rules=[{"http": {"paths": [{**PATH, **fields}]}}])


def backend(**fields: Any) -> dict[str, Any]:
    return paths(backend={"service": fields})


def incoming(**fields: Any) -> dict[str, Any]:
    return spec(ingress=[fields])


def block(**fields: Any) -> dict[str, Any]:
    return incoming(**{"from": [{"ipBlock": fields}]})


def subjects(**fields: Any) -> dict[str, Any]:
    return {"subjects": [fields]}


def hook(**fields: Any) -> dict[str, Any]:
    return {"webhooks": [{**HOOK, **fields}]}


def hook_rule(**fields: Any) -> dict[str, Any]:
    return hook(rules=[{**HOOK["rules"][0], **fields}])


def crd_names(**fields: Any) -> dict[str, Any]:
    return spec(names=fields)


def versions(*given: dict[str, Any]) -> dict[str, Any]:
    return spec(versions=[{**VERSION, **each} for each in given])


def metric(**fields: Any) -> dict[str, Any]:
    return spec(metrics=[fields])


def limit(**fields: Any) -> dict[str, Any]:
    return spec(limits=[fields])


P = "spec.ports[0]"
R = "spec.rules[0].http.paths[0]"
N = "spec.ingress[0]"
W = "webhooks[0]"
ROWS: list[tuple[str, dict[str, Any], str]] = [
    # Services and endpoints
    ("service", {"metadata": {"name": "a.b"}}, 'metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label must'),
    ("service", spec(ports=None), "spec.ports: Required value"),
    ("service", spec(type="Public"), 'spec.type: Unsupported value: "Public": supported values: "ClusterIP", "Ext'),
    ("service", spec(type="ExternalName", ports=None), "spec.externalName: Required value"),
    ("service", spec(type="ExternalName", externalName="a_b"), 'spec.externalName: Invalid value: "a_b": a lowercase'),
    (
        "service",
        spec(type="LoadBalancer", clusterIP="None"),
        'spec.clusterIPs[0]: Invalid value: "None": may not be set',
    ),
    ("service", spec(clusterIP="x"), 'spec.clusterIP: Invalid value: "x": must be a valid IP address'),
    ("service", spec(selector={"a": "b c"}), 'spec.selector: Invalid value: "b c": a valid label must be an empty'),
    ("service", ports({"port": 0}), f"{P}.port: Invalid value: 0: must be between 1 and 65535, inclusive"),
    ("service", ports({"port": 70000}), f"{P}.port: Invalid value: 70000: must be between 1 and 65535, inclusive"),
    ("service", ports({"port": 1}, {"port": 2}), f"{P}.name: Required value"),
    ("service", ports({"port": 1, "name": "A"}), f'{P}.name: Invalid value: "A": a lowercase RFC 1123 label'),
    ("service", ports({"port": 1, "name": "a"}, {"port": 2, "name": "a"}), 'spec.ports[1].name: Duplicate value: "a"'),
    (
        "service",
        ports({"port": 1, "protocol": "IP"}),
        f'{P}.protocol: Unsupported value: "IP": supported values: "SCTP"',
    ),
    ("service", ports({"port": 1, "targetPort": 70000}), f"{P}.targetPort: Invalid value: 70000: must be between 1"),
    ("service", ports({"port": 1, "targetPort": "A"}), f'{P}.targetPort: Invalid value: "A": must contain'),
    (
        "service",
        ports({"port": 1, "nodePort": 30000}),
        f"{P}.nodePort: Forbidden: may not be used when `type` is 'Clus",
    ),
    ("service", ports({"port": 1, "appProtocol": "a b"}), f'{P}.appProtocol: Invalid value: "a b": name part must con'),
    (
        "service",
        spec(sessionAffinity="Always"),
        'spec.sessionAffinity: Unsupported value: "Always": supported values: ',
    ),
    (
        "service",
        spec(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 90000}}),
        "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000: must be greater than 0 and less",
    ),
    ("service", spec(externalIPs=["x"]), 'spec.externalIPs[0]: Invalid value: "x": must be a valid IP address'),
    (
        "service",
        spec(externalIPs=["127.0.0.1"]),
        'spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loo',
    ),
    ("service", spec(loadBalancerSourceRanges=["10.0.0.0/8"]), "spec.LoadBalancerSourceRanges: Forbidden: may only be"),
    ("service", spec(externalTrafficPolicy="Local"), 'spec.externalTrafficPolicy: Invalid value: "Local": may only be'),
    ("service", spec(internalTrafficPolicy="Near"), 'spec.internalTrafficPolicy: Unsupported value: "Near": supported'),
    ("service", spec(ipFamilies=["IPv5"]), 'spec.ipFamilies[0]: Unsupported value: "IPv5": supported values: "IPv4"'),
    ("service", spec(ipFamilyPolicy="Any"), 'spec.ipFamilyPolicy: Unsupported value: "Any": supported values: '),
    ("service", spec(loadBalancerClass="a/b"), "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'L"),
    ("endpoints", {"subsets": [{"ports": [{"port": 1}]}]}, "subsets[0]: Required value: must specify `addresses` or"),
    (
        "endpoints",
        {"subsets": [{"addresses": [{"ip": "x"}]}]},
        'subsets[0].addresses[0].ip: Invalid value: "x": must be',
    ),
    (
        "endpoints",
        {"subsets": [{"addresses": [{"ip": "169.254.1.1"}]}]},
        'subsets[0].addresses[0].ip: Invalid value: "169.254.1.1": may not be in the link-local range',
    ),
    (
        "endpoints",
        {"subsets": [{"addresses": [{"ip": "10.1.1.1", "hostname": "A"}]}]},
        'subsets[0].addresses[0].hostname: Invalid value: "A": a lowercase RFC 1123 label',
    ),
    (
        "endpoints",
        {"subsets": [{"notReadyAddresses": [{"ip": "10.1.1.1"}], "ports": [{"port": 0}]}]},
        "subsets[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
    ),
    ("slice", {"addressType": None}, "addressType: Required value"),
    (
        "slice",
        {"addressType": "Post"},
        'addressType: Unsupported value: "Post": supported values: "FQDN", "IPv4", "IPv6"',
    ),
    ("slice", {"endpoints": [{}]}, "endpoints[0].addresses: Required value: must contain at least 1 address"),
    (
        "slice",
        {"endpoints": [{"addresses": ["x"]}]},
        'endpoints[0].addresses[0]: Invalid value: "x": must be a valid IP',
    ),
    ("slice", {"addressType": "IPv6"}, 'endpoints[0].addresses[0]: Invalid value: "10.1.2.3": must be a valid IPv6'),
    ("slice", {"ports": [{"port": 1}, {"port": 2}]}, 'ports[1].name: Duplicate value: ""'),
    ("slice", {"ports": [{"protocol": "IP"}]}, 'ports[0].protocol: Unsupported value: "IP": supported values: "SCTP"'),
    ("slice", {"endpoints": [{"addresses": ["10.1.2.3"]}] * 1001}, "endpoints: Too many: 1001: must have at most 1000"),
    # Ingresses and policies
    ("ingress", spec(rules=None), 'spec: Invalid value: "": either `defaultBackend` or `rules` must be specified'),
    (
        "ingress",
        spec(rules=[{"host": "10.1.2.3"}]),
        'spec.rules[0].host: Invalid value: "10.1.2.3": must be a DNS name',
    ),
    ("ingress", spec(rules=[{"host": "*a.b"}]), 'spec.rules[0].host: Invalid value: "*a.b": a wildcard DNS-1123 subdo'),
    ("ingress", spec(rules=[{"host": "A"}]), 'spec.rules[0].host: Invalid value: "A": a lowercase RFC 1123 subdomain'),
    ("ingress", spec(rules=[{"http": {}}]), "spec.rules[0].http.paths: Required value"),
    ("ingress", paths(pathType=None), f"{R}.pathType: Required value: pathType must be specified"),
    ("ingress", paths(pathType="Regex"), f'{R}.pathType: Unsupported value: "Regex": supported values: "Exact", "Imp'),
    ("ingress", paths(path="a"), f'{R}.path: Invalid value: "a": must be an absolute path'),
    ("ingress", paths(path="/a//b"), f"{R}.path: Invalid value: \"/a//b\": must not contain '//'"),
    ("ingress", paths(path="/a/.."), f"{R}.path: Invalid value: \"/a/..\": cannot end with '/..'"),
    ("ingress", paths(backend={}), f"{R}.backend: Required value"),
    ("ingress", backend(port={"number": 1}), f"{R}.backend.service.name: Required value"),
    ("ingress", backend(name="web"), f"{R}.backend.service.port: Required value: port name or number is required"),
    (
        "ingress",
        backend(name="web", port={"number": 1, "name": "a"}),
        f'{R}.backend.service.port: Invalid value: "": cannot set both port name & port number',
    ),
    ("ingress", backend(name="web", port={"number": 70000}), f"{R}.backend.service.port.number: Invalid value: 70000"),
    (
        "ingress",
        paths(backend={**BACKEND, "resource": {"kind": "A", "name": "b"}}),
        f'{R}.backend: Invalid value: "": cannot set both resource and service backends',
    ),
    (
        "ingress",
        spec(ingressClassName="A"),
        'spec.ingressClassName: Invalid value: "A": a lowercase RFC 1123 subdomain',
    ),
    ("ingress", spec(tls=[{"hosts": ["_"]}]), 'spec.tls[0].hosts[0]: Invalid value: "_": a lowercase RFC 1123 subdom'),
    (
        "ingressclass",
        spec(controller="nginx"),
        'spec.controller: Invalid value: "nginx": must be a domain-prefixed path',
    ),
    ("ingressclass", spec(parameters={"name": "a"}), "spec.parameters.kind: Required value: kind is required"),
    (
        "ingressclass",
        spec(parameters={"kind": "A", "name": "a", "scope": "Namespace"}),
        "spec.parameters.namespace: Required value: `parameters.scope` is set to 'Namespace'",
    ),
    (
        "ingressclass",
        spec(parameters={"kind": "A", "name": "a", "scope": "World"}),
        'spec.parameters.scope: Unsupported value: "World": supported values: "Cluster", "Namespace"',
    ),
    (
        "policy",
        spec(podSelector={"matchLabels": {"a": "b c"}}),
        'spec.podSelector.matchLabels: Invalid value: "b c": a valid label must be',
    ),
    (
        "policy",
        spec(policyTypes=["Both"]),
        'spec.policyTypes[0]: Unsupported value: "Both": supported values: "Egress"',
    ),
    ("policy", incoming(**{"from": [{}]}), f"{N}.from[0]: Required value: must specify a peer"),
    (
        "policy",
        incoming(ports=[{"protocol": "IP"}]),
        f'{N}.ports[0].protocol: Unsupported value: "IP": supported values',
    ),
    ("policy", incoming(ports=[{"port": 0}]), f"{N}.ports[0].port: Invalid value: 0: must be between 1 and 65535"),
    ("policy", incoming(ports=[{"port": "A"}]), f'{N}.ports[0].port: Invalid value: "A": must contain'),
    (
        "policy",
        incoming(ports=[{"port": 9, "endPort": 8}]),
        f"{N}.ports[0].endPort: Invalid value: 8: must be greater than or equal to `port`",
    ),
    (
        "policy",
        incoming(ports=[{"port": "sql", "endPort": 8}]),
        f"{N}.ports[0].port: Required value: must be numeric when `endPort` is specified",
    ),
    ("policy", block(cidr=None), f"{N}.from[0].ipBlock.cidr: Required value"),
    ("policy", block(cidr="10.0.0.0"), f'{N}.from[0].ipBlock.cidr: Invalid value: "10.0.0.0": must be a valid CIDR'),
    (
        "policy",
        block(cidr="10.0.0.0/8", **{"except": ["11.0.0.0/16"]}),
        f'{N}.from[0].ipBlock.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of `cidr`: "10.0.0.0/8"',
    ),
    (
        "policy",
        incoming(**{"from": [{"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}}]}),
        f"{N}.from[0]: Forbidden: may not specify both ipBlock and another peer",
    ),
    ("address", {"metadata": {"name": "x"}}, 'metadata.name: Invalid value: "x": must be a valid IP address'),
    ("address", spec(parentRef=None), "spec.parentRef: Required value"),
    ("address", spec(parentRef={"resource": None}), "spec.parentRef.resource: Required value"),
    ("cidr", spec(cidrs=None), "spec.cidrs: Required value: at least one CIDR required"),
    ("cidr", spec(cidrs=["x"]), 'spec.cidrs[0]: Invalid value: "x": must be a valid CIDR value'),
    ("cidr", spec(cidrs=["10.0.0.0/24", "10.1.0.0/24"]), "spec.cidrs: Invalid value: "),
    # Storage
    ("volume", spec(accessModes=None), "spec.accessModes: Required value: at least 1 access mode is required"),
    (
        "volume",
        spec(accessModes=["Mine"]),
        'spec.accessModes: Unsupported value: "Mine": supported values: "ReadOnlyMany',
    ),
    ("volume", spec(capacity=None), "spec.capacity: Required value"),
    (
        "volume",
        spec(capacity={"storage": "0"}),
        'spec.capacity[storage]: Invalid value: "0": must be greater than zero',
    ),
    ("volume", spec(capacity={"cpu": "1"}), 'spec.capacity: Unsupported value: "cpu": supported values: "storage"'),
    ("volume", spec(hostPath=None), "spec: Required value: must specify a volume type"),
    ("volume", spec(nfs={"server": "a", "path": "/"}), "spec.nfs: Forbidden: may not specify more than 1 volume type"),
    (
        "volume",
        spec(hostPath={"path": "/a/../b"}),
        "spec.hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
    ),
    ("volume", spec(hostPath=None, nfs={"path": "/"}), "spec.nfs.server: Required value"),
    (
        "volume",
        spec(hostPath=None, nfs={"server": "a", "path": "b"}),
        'spec.nfs.path: Invalid value: "b": must be an ab',
    ),
    ("volume", spec(hostPath=None, local={"path": "/a"}), "spec.nodeAffinity: Required value: Local volume requires"),
    ("volume", spec(hostPath=None, csi={"driver": "a"}), "spec.csi.volumeHandle: Required value"),
    (
        "volume",
        spec(persistentVolumeReclaimPolicy="Burn"),
        'spec.persistentVolumeReclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Recycle", "R',
    ),
    (
        "volume",
        spec(volumeMode="Tape"),
        'spec.volumeMode: Unsupported value: "Tape": supported values: "Block", "Files',
    ),
    ("claim", spec(accessModes=None), "spec.accessModes: Required value: at least 1 access mode is required"),
    (
        "claim",
        spec(accessModes=["ReadWriteOncePod", "ReadWriteOnce"]),
        "spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes",
    ),
    ("claim", spec(resources=None), "spec.resources[storage]: Required value"),
    (
        "claim",
        spec(resources={"requests": {"storage": "0"}}),
        'spec.resources[storage]: Invalid value: "0": must be gre',
    ),
    ("claim", spec(storageClassName="A"), 'spec.storageClassName: Invalid value: "A": a lowercase RFC 1123 subdomain'),
    ("claim", spec(volumeMode="Tape"), 'spec.volumeMode: Unsupported value: "Tape": supported values: "Block"'),
    ("claim", spec(dataSource={"kind": "PersistentVolumeClaim"}), "spec.dataSource.name: Required value"),
    (
        "claim",
        spec(dataSource={"kind": "Disk", "name": "a"}),
        'spec.dataSource: Invalid value: "Disk": must be \'Persi',
    ),
    ("class", {"provisioner": None}, "provisioner: Required value"),
    ("class", {"provisioner": "a b"}, 'provisioner: Invalid value: "a b": name part must consist of'),
    ("class", {"reclaimPolicy": "Burn"}, 'reclaimPolicy: Unsupported value: "Burn": supported values: "Delete", "Ret'),
    ("class", {"volumeBindingMode": "Later"}, 'volumeBindingMode: Unsupported value: "Later": supported values: "Imme'),
    ("class", {"parameters": {"": "a"}}, 'parameters: Invalid value: "": field can not be empty'),
    (
        "class",
        {"allowedTopologies": [{"matchLabelExpressions": [{"key": "zone"}]}]},
        "allowedTopologies[0].matchLabelExpressions[0].values: Required value",
    ),
    ("attributes", {"driverName": None}, "driverName: Required value"),
    ("attributes", {"parameters": None}, "parameters: Required value: must contain at least one key/value pair"),
    ("attachment", spec(attacher=None), "spec.attacher: Required value"),
    ("attachment", spec(nodeName=None), "spec.nodeName: Required value"),
    ("attachment", spec(source=None), "spec.source: Required value: must specify exactly one of inlineVolumeSpec and"),
    ("driver", {"metadata": {"name": "a b"}}, 'metadata.name: Invalid value: "a b": a lowercase RFC 1123 subdomain'),
    ("driver", spec(fsGroupPolicy="Maybe"), 'spec.fsGroupPolicy: Unsupported value: "Maybe": supported values: "ReadW'),
    (
        "driver",
        spec(volumeLifecycleModes=["Short"]),
        'spec.volumeLifecycleModes: Unsupported value: "Short": supported',
    ),
    (
        "driver",
        spec(tokenRequests=[{"audience": "a"}, {"audience": "a"}]),
        'spec.tokenRequests[1].audience: Duplicate value: "a"',
    ),
    (
        "driver",
        spec(tokenRequests=[{"audience": "a", "expirationSeconds": 5}]),
        "spec.tokenRequests[0].expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes",
    ),
    ("csinode", spec(drivers=[{"nodeID": "a"}]), "spec.drivers[0].name: Required value"),
    ("csinode", spec(drivers=[{"name": "a.b"}]), "spec.drivers[0].nodeID: Required value"),
    ("csinode", spec(drivers=[{"name": "a.b", "nodeID": "n"}] * 2), 'spec.drivers[1].name: Duplicate value: "a.b"'),
    ("capacity", {"storageClassName": None}, "storageClassName: Required value"),
    ("capacity", {"capacity": "-1"}, 'capacity: Invalid value: "-1": must be greater than or equal to 0'),
    # Access
    ("account", {"metadata": {"name": "A"}}, 'metadata.name: Invalid value: "A": a lowercase RFC 1123 subdomain'),
    ("account", {"imagePullSecrets": [{"name": "A"}]}, 'imagePullSecrets[0].name: Invalid value: "A": a lowercase RFC'),
    (
        "role",
        {"rules": [{**RULE, "verbs": []}]},
        "rules[0].verbs: Required value: verbs must contain at least one value",
    ),
    (
        "role",
        {"rules": [{**RULE, "apiGroups": []}]},
        "rules[0].apiGroups: Required value: resource rules must supply at",
    ),
    (
        "role",
        {"rules": [{**RULE, "resources": []}]},
        "rules[0].resources: Required value: resource rules must supply at",
    ),
    (
        "role",
        {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz"]}]},
        "rules[0].nonResourceURLs: Invalid value: ",
    ),
    (
        "clusterrole",
        {"rules": [{**RULE, "nonResourceURLs": ["/healthz"]}]},
        "rules[0].nonResourceURLs: Invalid value: ",
    ),
    (
        "clusterrole",
        {"aggregationRule": {}},
        "aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required",
    ),
    (
        "binding",
        {"roleRef": {"kind": "Pod"}},
        'roleRef.kind: Unsupported value: "Pod": supported values: "ClusterRole"',
    ),
    ("binding", {"roleRef": {"name": None}}, "roleRef.name: Required value"),
    (
        "binding",
        {"roleRef": {"apiGroup": "a"}},
        f'roleRef.apiGroup: Unsupported value: "a": supported values: "{RBAC}"',
    ),
    ("binding", subjects(kind="User"), "subjects[0].name: Required value"),
    (
        "binding",
        subjects(kind="Robot", name="a"),
        'subjects[0].kind: Unsupported value: "Robot": supported values: "Gro',
    ),
    (
        "binding",
        subjects(kind="ServiceAccount", name="a", apiGroup="b"),
        'subjects[0].apiGroup: Unsupported value: "b": supported values: ""',
    ),
    (
        "clusterbinding",
        {"roleRef": {"kind": "Role"}},
        'roleRef.kind: Unsupported value: "Role": supported values: "Clu',
    ),
    ("clusterbinding", subjects(kind="ServiceAccount", name="a"), "subjects[0].namespace: Required value"),
    ("csr", spec(request=None), "spec.request: Required value"),
    ("csr", spec(request="eA=="), 'spec.request: Invalid value: "": PEM block type must be CERTIFICATE REQUEST'),
    ("csr", spec(usages=None), "spec.usages: Required value"),
    ("csr", spec(usages=["magic"]), 'spec.usages[0]: Unsupported value: "magic": supported values: "any", "cert sign"'),
    ("csr", spec(usages=["any", "any"]), 'spec.usages[1]: Duplicate value: "any"'),
    ("csr", spec(signerName=None), "spec.signerName: Required value"),
    (
        "csr",
        spec(signerName="signer"),
        'spec.signerName: Invalid value: "signer": must be a fully qualified domain and',
    ),
    ("csr", spec(expirationSeconds=60), "spec.expirationSeconds: Invalid value: 60: may not specify a duration less"),
    # Classes and templates
    ("template", {"template": None}, "template.spec.containers: Required value"),
    ("template", {"template": {"spec": {"containers": None}}}, "template.spec.containers: Required value"),
    ("priority", {"preemptionPolicy": "Ask"}, 'preemptionPolicy: Unsupported value: "Ask": supported values: "Never"'),
    ("runtime", {"handler": None}, "handler: Required value"),
    ("runtime", {"handler": "A"}, 'handler: Invalid value: "A": a lowercase RFC 1123 label must consist'),
    (
        "runtime",
        {"overhead": {"podFixed": {"cpu": "-1"}}},
        'overhead.podFixed[cpu]: Invalid value: "-1": must be greater',
    ),
    (
        "runtime",
        {"scheduling": {"nodeSelector": {"a": "b c"}}},
        'scheduling.nodeSelector: Invalid value: "b c": a valid',
    ),
    # Custom resources
    ("crd", {"metadata": {"name": "x"}}, 'metadata.name: Invalid value: "x": must be spec.names.plural+"."+spec.group'),
    ("crd", spec(group="example"), 'spec.group: Invalid value: "example": should be a domain with at least one dot'),
    ("crd", spec(scope="World"), 'spec.scope: Unsupported value: "World": supported values: "Cluster", "Namespaced"'),
    ("crd", spec(scope=None), "spec.scope: Required value"),
    ("crd", crd_names(plural=None), "spec.names.plural: Required value"),
    ("crd", crd_names(kind=None), "spec.names.kind: Required value"),
    ("crd", crd_names(kind="1Ship"), 'spec.names.kind: Invalid value: "1ship": a DNS-1035 label must consist'),
    ("crd", crd_names(shortNames=["S"]), 'spec.names.shortNames[0]: Invalid value: "S": a DNS-1035 label must consist'),
    ("crd", crd_names(listKind="Ship"), 'spec.names.listKind: Invalid value: "Ship": kind and listKind may not be the'),
    ("crd", versions({"name": "V1"}), 'spec.versions[0].name: Invalid value: "V1": a DNS-1035 label'),
    ("crd", versions({}, {}), 'spec.versions: Invalid value: "v1": must contain unique version names'),
    ("crd", versions({"storage": False}), "spec.versions: Invalid value: "),
    (
        "crd",
        versions({"schema": None}),
        "spec.versions[0].schema.openAPIV3Schema: Required value: schemas are required",
    ),
    (
        "crd",
        versions({"schema": {"openAPIV3Schema": {"type": "string"}}}),
        'spec.versions[0].schema.openAPIV3Schema.type: Invalid value: "string": must be object at the root',
    ),
    # Admission
    (
        "mutating",
        hook(name="check"),
        f'{W}.name: Invalid value: "check": should be a domain with at least three segments',
    ),
    ("mutating", hook(sideEffects=None), f"{W}.sideEffects: Required value: must specify one of None, NoneOnDryRun"),
    ("mutating", hook(sideEffects="Some"), f'{W}.sideEffects: Unsupported value: "Some": supported values: "None"'),
    ("mutating", hook(reinvocationPolicy="Twice"), f'{W}.reinvocationPolicy: Unsupported value: "Twice": supported'),
    (
        "mutating",
        hook(timeoutSeconds=31),
        f"{W}.timeoutSeconds: Invalid value: 31: the timeout value must be between 1",
    ),
    ("mutating", hook(failurePolicy="Cry"), f'{W}.failurePolicy: Unsupported value: "Cry": supported values: "Fail"'),
    ("validating", hook(matchPolicy="Near"), f'{W}.matchPolicy: Unsupported value: "Near": supported values: "Equiv'),
    (
        "validating",
        hook(admissionReviewVersions=[]),
        f"{W}.admissionReviewVersions: Required value: must specify one of",
    ),
    (
        "validating",
        hook(clientConfig={}),
        f"{W}.clientConfig: Required value: exactly one of url or service is required",
    ),
    (
        "validating",
        hook(clientConfig={"url": "http://a.b"}),
        f"{W}.clientConfig.url: Invalid value: \"http://a.b\": 'https' is the only allowed URL scheme",
    ),
    (
        "validating",
        hook(clientConfig={"service": {"name": "a"}}),
        f"{W}.clientConfig.service.namespace: Required value: service namespace is required",
    ),
    (
        "validating",
        hook(clientConfig={"service": {"name": "a", "namespace": "b", "port": 0}}),
        f"{W}.clientConfig.service.port: Invalid value: 0: port is not valid: must be between 1 and 65535, inclusive",
    ),
    ("validating", hook_rule(operations=[]), f"{W}.rules[0].operations: Required value"),
    ("validating", hook_rule(operations=["READ"]), f'{W}.rules[0].operations[0]: Unsupported value: "READ": supported'),
    ("validating", hook_rule(operations=["*", "CREATE"]), f"{W}.rules[0].operations: Invalid value: "),
    ("validating", hook_rule(apiGroups=[]), f"{W}.rules[0].apiGroups: Required value"),
    ("validating", hook_rule(scope="World"), f'{W}.rules[0].scope: Unsupported value: "World": supported values: "*"'),
    ("validating", {"webhooks": [HOOK, HOOK]}, 'webhooks[1].name: Duplicate value: "check.example.com"'),
    (
        "vap",
        spec(validations=None),
        "spec.validations: Required value: validations or auditAnnotations must be non-empty",
    ),
    ("vap", spec(matchConstraints=None), "spec.matchConstraints: Required value"),
    ("vap", spec(matchConstraints={"resourceRules": None}), "spec.matchConstraints.resourceRules: Required value"),
    (
        "vap",
        spec(validations=[{"expression": " "}]),
        "spec.validations[0].expression: Required value: expression is not",
    ),
    ("vap", spec(failurePolicy="Cry"), 'spec.failurePolicy: Unsupported value: "Cry": supported values: "Fail"'),
    ("vapb", spec(policyName=None), "spec.policyName: Required value"),
    ("vapb", spec(validationActions=None), "spec.validationActions: Required value: at least one validation action is"),
    (
        "vapb",
        spec(validationActions=["Cry"]),
        'spec.validationActions: Unsupported value: "Cry": supported values: "Aud',
    ),
    ("vapb", spec(validationActions=["Deny", "Warn"]), "spec.validationActions: Invalid value: "),
    ("map", spec(mutations=None), "spec.mutations: Required value: mutations must contain at least one item"),
    (
        "map",
        spec(reinvocationPolicy="Twice"),
        'spec.reinvocationPolicy: Unsupported value: "Twice": supported values: ',
    ),
    ("mapb", spec(policyName=None), "spec.policyName: Required value"),
    # Autoscalers, limits, quotas, budgets
    ("hpa", spec(maxReplicas=0), "spec.maxReplicas: Invalid value: 0: must be greater than 0"),
    ("hpa", spec(minReplicas=0), "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"),
    ("hpa", spec(minReplicas=4), "spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"),
    ("hpa", spec(scaleTargetRef={"kind": None}), "spec.scaleTargetRef.kind: Required value"),
    ("hpa", spec(scaleTargetRef={"name": None}), "spec.scaleTargetRef.name: Required value"),
    ("hpa", metric(type="Magic"), 'spec.metrics[0].type: Unsupported value: "Magic": supported values: "ContainerRes'),
    (
        "hpa",
        metric(type="Resource"),
        "spec.metrics[0].resource: Required value: must populate information for the given",
    ),
    (
        "hpa",
        metric(type="Resource", resource={"target": {"type": "Utilization", "averageUtilization": 50}}),
        "spec.metrics[0].resource.name: Required value: must specify a resource name",
    ),
    (
        "hpa",
        metric(type="ContainerResource", containerResource={"name": "cpu"}),
        "spec.metrics[0].containerResource.container: Required value: must specify a container",
    ),
    ("limits", limit(type="Box"), 'spec.limits[0].type: Invalid value: "Box": must be a standard limit type or fully'),
    ("limits", limit(type="Pod", default={"cpu": "1"}), "spec.limits[0].default: Forbidden: may not be specified when"),
    ("limits", limit(type="PersistentVolumeClaim"), "spec.limits[0].limits: Required value: either minimum or maximum"),
    (
        "limits",
        spec(limits=[{"type": "Pod", "max": {"cpu": "1"}}] * 2),
        'spec.limits[1].type: Duplicate value: "Pod"',
    ),
    (
        "quota",
        spec(hard={"food": "1"}),
        'spec.hard[food]: Invalid value: "food": must be a standard resource for quota',
    ),
    ("quota", spec(hard={"pods": "-1"}), 'spec.hard[pods]: Invalid value: "-1": must be greater than or equal to 0'),
    ("quota", spec(hard={"pods": "500m"}), 'spec.hard[pods]: Invalid value: "500m": must be an integer'),
    ("quota", spec(scopes=["Mine"]), 'spec.scopes: Invalid value: "Mine": unsupported scope'),
    ("quota", spec(scopes=["BestEffort", "NotBestEffort"]), "spec.scopes: Invalid value: "),
    ("pdb", spec(maxUnavailable=1), 'spec: Invalid value: "": minAvailable and maxUnavailable cannot be both set'),
    ("pdb", spec(minAvailable=-1), "spec.minAvailable: Invalid value: -1: must be greater than or equal to 0"),
    ("pdb", spec(minAvailable="x"), 'spec.minAvailable: Invalid value: "x": a valid percent string must be a numeric'),
    ("pdb", spec(minAvailable="101%"), 'spec.minAvailable: Invalid value: "101%": must not be greater than 100%'),
    (
        "pdb",
        spec(unhealthyPodEvictionPolicy="x"),
        'spec.unhealthyPodEvictionPolicy: Unsupported value: "x": supported values: "AlwaysAllow", "IfHealthyBudget"',
    ),
]


def problems(document: dict[str, Any]) -> list[str]:
    type_ = kinds.by_kind(document["apiVersion"], document["kind"]).type
    return [str(problem) for problem in validation.validate(defaults.apply(json.decode_strict(document, type_)))]


@pytest.mark.parametrize("name", GOOD)
def test_the_good_object_is_good(name: str) -> None:
    assert problems(GOOD[name]) == []


@pytest.mark.parametrize(("name", "change", "expected"), ROWS, ids=[f"{i}-{row[2][:50]}" for i, row in enumerate(ROWS)])
def test_the_wrong_field_is_named(name: str, change: dict[str, Any], expected: str) -> None:
    found = problems(merge_patch(GOOD[name], change))
    assert any(problem.startswith(expected) for problem in found), found
