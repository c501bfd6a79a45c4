"""One thing wrong at a time: which field is blamed, and in which words.

Each row changes a good object in one place (RFC 7396) and names the field error that must come of it.
"""

from __future__ import annotations

import pytest

from knarr_api import defaults, json, kinds, validation
from knarr_api.merge_patch import merge_patch

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"containers": [{"name": "web", "image": "web:1"}]},
}
DEPLOYMENT = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "web:1"}]}},
    },
}
GOOD = {
    "pod": POD,
    "deployment": DEPLOYMENT,
    "replicaset": {**DEPLOYMENT, "kind": "ReplicaSet"},
    "configmap": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "default"}},
    "secret": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}},
    "namespace": {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "team"}},
    "node": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}},
    "lease": {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "l", "namespace": "default"},
    },
    "event": {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "name": "web", "namespace": "default"},
    },
    "role": {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "r", "namespace": "default"},
    },
}


def meta(**fields):
    return {"metadata": fields}


def spec(**fields):
    return {"spec": fields}


def one(**fields):
    """A pod whose only container has these fields."""
    return {"spec": {"containers": [{"name": "web", "image": "web:1", **fields}]}}


def vol(**fields):
    return {"spec": {"volumes": [{"name": "v", **fields}]}}


def template(**fields):
    return {"spec": {"template": {"spec": fields}}}


def probe(**fields):
    return one(livenessProbe=fields)


def affinity(**term):
    needed = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}}
    return spec(affinity={"nodeAffinity": needed})


NODE_TERM = "spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
C = "spec.containers[0]"
TCP = {"tcpSocket": {"port": 80}}

ROWS = [
    # Metadata
    ("pod", meta(name=None), "metadata.name: Required value: name or generateName is required"),
    ("pod", meta(name="Web"), 'metadata.name: Invalid value: "Web": a lowercase RFC 1123 subdomain'),
    ("pod", meta(name="-web"), 'metadata.name: Invalid value: "-web"'),
    ("pod", meta(name="a" * 254), "metadata.name: Invalid value"),
    ("pod", meta(name="a/b"), 'metadata.name: Invalid value: "a/b"'),
    ("pod", meta(name=None, generateName="Web-"), 'metadata.generateName: Invalid value: "Web'),
    ("pod", meta(namespace=None), "metadata.namespace: Required value"),
    ("pod", meta(namespace="a.b"), 'metadata.namespace: Invalid value: "a.b": a lowercase RFC 1123 label'),
    ("namespace", meta(name="a.b"), 'metadata.name: Invalid value: "a.b": a lowercase RFC 1123 label'),
    ("namespace", meta(name="a" * 64), "metadata.name: Invalid value"),
    ("namespace", meta(namespace="x"), "metadata.namespace: Forbidden: not allowed on this type"),
    ("role", meta(name="a/b"), 'metadata.name: Invalid value: "a/b"'),
    ("role", meta(name=".."), 'metadata.name: Invalid value: ".."'),
    ("pod", meta(labels={"-a": "b"}), 'metadata.labels: Invalid value: "-a": name part must consist'),
    ("pod", meta(labels={"a": "b c"}), 'metadata.labels: Invalid value: "b c": a valid label must be'),
    ("pod", meta(labels={"a": "b" * 64}), "metadata.labels: Invalid value"),
    ("pod", meta(labels={"A_/x": "b"}), 'metadata.labels: Invalid value: "A_/x": prefix part'),
    ("pod", meta(annotations={"a b": "c"}), 'metadata.annotations: Invalid value: "a b"'),
    (
        "pod",
        meta(annotations={"a": "x" * 262_145}),
        "metadata.annotations: Too long: may not be more than 262144 bytes",
    ),
    ("pod", meta(ownerReferences=[{"kind": "A", "name": "b", "uid": "c"}]), "metadata.ownerReferences[0].apiVersion"),
    (
        "pod",
        meta(ownerReferences=[{"apiVersion": "v1", "kind": "A", "name": "b"}]),
        'metadata.ownerReferences[0].uid: Invalid value: "": uid must not be empty',
    ),
    (
        "pod",
        meta(
            ownerReferences=[
                {"apiVersion": "v1", "kind": "A", "name": name, "uid": name, "controller": True} for name in "bc"
            ]
        ),
        "metadata.ownerReferences: Invalid value",
    ),
    ("pod", meta(finalizers=["a b"]), 'metadata.finalizers: Invalid value: "a b"'),
    # Pod
    ("pod", spec(containers=None), "spec.containers: Required value"),
    ("pod", spec(restartPolicy="Sometimes"), 'spec.restartPolicy: Unsupported value: "Sometimes": supported values: '),
    ("pod", spec(terminationGracePeriodSeconds=-1), "spec.terminationGracePeriodSeconds: Invalid value: -1: must be g"),
    ("pod", spec(activeDeadlineSeconds=0), "spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and"),
    ("pod", spec(dnsPolicy="Mine"), 'spec.dnsPolicy: Unsupported value: "Mine"'),
    ("pod", spec(dnsPolicy="None"), "spec.dnsConfig: Required value: must provide at least one DNS nameserver"),
    ("pod", spec(dnsConfig={"nameservers": ["1.1.1.1"] * 4}), "spec.dnsConfig.nameservers: Invalid value"),
    ("pod", spec(dnsConfig={"nameservers": ["x"]}), 'spec.dnsConfig.nameservers[0]: Invalid value: "x": must be a va'),
    ("pod", spec(dnsConfig={"options": [{"value": "1"}]}), "spec.dnsConfig.options[0]: Required value"),
    ("pod", spec(nodeSelector={"a": "b c"}), 'spec.nodeSelector: Invalid value: "b c"'),
    ("pod", spec(nodeName="N_1"), 'spec.nodeName: Invalid value: "N_1"'),
    ("pod", spec(hostname="a.b"), 'spec.hostname: Invalid value: "a.b"'),
    ("pod", spec(subdomain="a_b"), 'spec.subdomain: Invalid value: "a_b"'),
    ("pod", spec(serviceAccountName="A"), 'spec.serviceAccountName: Invalid value: "A"'),
    ("pod", spec(priorityClassName="A"), 'spec.priorityClassName: Invalid value: "A"'),
    ("pod", spec(hostAliases=[{"ip": "x"}]), 'spec.hostAliases[0].ip: Invalid value: "x"'),
    ("pod", spec(hostAliases=[{"ip": "1.1.1.1", "hostnames": ["_"]}]), "spec.hostAliases[0].hostnames[0]"),
    ("pod", spec(imagePullSecrets=[{}]), "spec.imagePullSecrets[0].name: Required value"),
    ("pod", spec(readinessGates=[{"conditionType": "a b"}]), 'spec.readinessGates[0].conditionType: Invalid value: "a'),
    ("pod", spec(schedulingGates=[{"name": "a"}, {"name": "a"}]), 'spec.schedulingGates[1]: Duplicate value: "a"'),
    ("pod", spec(schedulingGates=[{"name": "a"}], nodeName="n"), "spec.nodeName: Forbidden: cannot be set until all"),
    ("pod", spec(preemptionPolicy="Always"), 'spec.preemptionPolicy: Unsupported value: "Always"'),
    ("pod", spec(os={"name": "plan9"}), 'spec.os.name: Unsupported value: "plan9"'),
    ("pod", spec(shareProcessNamespace=True, hostPID=True), "spec.shareProcessNamespace: Invalid value"),
    ("pod", spec(hostUsers=False, hostNetwork=True), "spec.hostNetwork: Forbidden: when `hostUsers` is false"),
    ("pod", spec(overhead={"cpu": "-1"}), "spec.overhead[cpu]: Invalid value"),
    (
        "pod",
        spec(securityContext={"runAsUser": -1}),
        "spec.securityContext.runAsUser: Invalid value: -1: must be betwe",
    ),
    ("pod", spec(securityContext={"fsGroup": 2**31}), "spec.securityContext.fsGroup: Invalid value"),
    ("pod", spec(securityContext={"supplementalGroups": [-1]}), "spec.securityContext.supplementalGroups[0]: Invalid"),
    (
        "pod",
        spec(securityContext={"sysctls": [{"name": "A"}]}),
        'spec.securityContext.sysctls[0].name: Invalid value: "A',
    ),
    ("pod", spec(securityContext={"seccompProfile": {"type": "X"}}), "spec.securityContext.seccompProfile.type: Unsup"),
    (
        "pod",
        spec(securityContext={"appArmorProfile": {"type": "X"}}),
        "spec.securityContext.appArmorProfile.type: Uns",
    ),
    (
        "pod",
        spec(securityContext={"appArmorProfile": {"type": "Localhost"}}),
        "spec.securityContext.appArmorProfile.localhostProfile: Required value: must be set when AppArmor type is",
    ),
    (
        "pod",
        one(securityContext={"appArmorProfile": {"type": "RuntimeDefault", "localhostProfile": "x"}}),
        f"{C}.securityContext.appArmorProfile.localhostProfile: Invalid value",
    ),
    (
        "pod",
        one(securityContext={"appArmorProfile": {"type": "Localhost", "localhostProfile": " x"}}),
        f"{C}.securityContext.appArmorProfile.localhostProfile: Invalid value",
    ),
    (
        "pod",
        spec(securityContext={"seccompProfile": {"type": "Localhost", "localhostProfile": "../x"}}),
        "spec.securityContext.seccompProfile.localhostProfile: Invalid value",
    ),
    # Placement
    (
        "pod",
        spec(tolerations=[{"operator": "Equal"}]),
        'spec.tolerations[0].operator: Invalid value: "Equal": operator',
    ),
    ("pod", spec(tolerations=[{"key": "a", "operator": "Near"}]), "spec.tolerations[0].operator: Unsupported value"),
    (
        "pod",
        spec(tolerations=[{"key": "a", "operator": "Lt", "value": "b"}]),
        'spec.tolerations[0].value: Invalid value: "b"',
    ),
    (
        "pod",
        spec(tolerations=[{"key": "a", "operator": "Gt", "value": "05"}]),
        "spec.tolerations[0].value: Invalid value",
    ),
    ("pod", spec(tolerations=[{"key": "a", "operator": "Gt"}]), "spec.tolerations[0].value: Invalid value"),
    ("pod", spec(tolerations=[{"key": "a", "operator": "Exists", "value": "b"}]), "spec.tolerations[0].operator: Inva"),
    ("pod", spec(tolerations=[{"key": "a", "effect": "Never"}]), "spec.tolerations[0].effect: Unsupported value"),
    ("pod", spec(tolerations=[{"key": "a b"}]), 'spec.tolerations[0].key: Invalid value: "a b"'),
    (
        "pod",
        spec(tolerations=[{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 1}]),
        "spec.tolerations[0].effect: Invalid value: \"NoSchedule\": effect must be 'NoExecute' when",
    ),
    (
        "pod",
        spec(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}),
        f"{NODE_TERM}: Required value: must have at least one node selector term",
    ),
    ("pod", affinity(key="a", operator="In"), f"{NODE_TERM}[0].matchExpressions[0].values: Required value"),
    (
        "pod",
        affinity(key="a", operator="Exists", values=["b"]),
        f"{NODE_TERM}[0].matchExpressions[0].values: Forbidden",
    ),
    ("pod", affinity(key="a", operator="Gt", values=["b"]), f"{NODE_TERM}[0].matchExpressions[0].values[0]: Invalid"),
    ("pod", affinity(key="a", operator="Like"), f'{NODE_TERM}[0].matchExpressions[0].operator: Invalid value: "Like"'),
    ("pod", affinity(key="a b", operator="Exists"), f"{NODE_TERM}[0].matchExpressions[0].key: Invalid value"),
    (
        "pod",
        spec(affinity={"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"preference": {}}]}}),
        "spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight: Invalid value: 0: must",
    ),
    (
        "pod",
        spec(affinity={"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{}]}}),
        "spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value",
    ),
    (
        "pod",
        spec(topologySpreadConstraints=[{"topologyKey": "z", "maxSkew": 0, "whenUnsatisfiable": "DoNotSchedule"}]),
        "spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero",
    ),
    (
        "pod",
        spec(topologySpreadConstraints=[{"maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}]),
        "spec.topologySpreadConstraints[0].topologyKey: Required value: can not be empty",
    ),
    (
        "pod",
        spec(topologySpreadConstraints=[{"topologyKey": "z", "maxSkew": 1, "whenUnsatisfiable": "Maybe"}]),
        "spec.topologySpreadConstraints[0].whenUnsatisfiable: Unsupported value",
    ),
    (
        "pod",
        spec(topologySpreadConstraints=[{"topologyKey": "z", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"}] * 2),
        "spec.topologySpreadConstraints[1].{topologyKey, whenUnsatisfiable}: Duplicate value",
    ),
    # Containers
    ("pod", one(name=None), f"{C}.name: Required value"),
    ("pod", one(name="Web"), f'{C}.name: Invalid value: "Web": a lowercase RFC 1123 label'),
    ("pod", one(image=None), f"{C}.image: Required value"),
    ("pod", one(image=" web"), f'{C}.image: Invalid value: " web": must not have leading or trailing whitespace'),
    ("pod", spec(containers=[{"name": "a", "image": "b"}] * 2), 'spec.containers[1].name: Duplicate value: "a"'),
    ("pod", spec(initContainers=[{"name": "web", "image": "b"}]), f'{C}.name: Duplicate value: "web"'),
    ("pod", spec(initContainers=[{"name": "i"}]), "spec.initContainers[0].image: Required value"),
    (
        "pod",
        spec(initContainers=[{"name": "i", "image": "b", "readinessProbe": TCP}]),
        "spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy",
    ),
    (
        "pod",
        one(imagePullPolicy="Often"),
        f'{C}.imagePullPolicy: Unsupported value: "Often": supported values: "Always"',
    ),
    ("pod", one(terminationMessagePolicy="X"), f"{C}.terminationMessagePolicy: Unsupported value"),
    ("pod", one(ports=[{}]), f"{C}.ports[0].containerPort: Required value"),
    (
        "pod",
        one(ports=[{"containerPort": 70000}]),
        f"{C}.ports[0].containerPort: Invalid value: 70000: must be between",
    ),
    ("pod", one(ports=[{"containerPort": 1, "hostPort": -1}]), f"{C}.ports[0].hostPort: Invalid value: -1"),
    ("pod", one(ports=[{"containerPort": 1, "protocol": "IP"}]), f'{C}.ports[0].protocol: Unsupported value: "IP"'),
    ("pod", one(ports=[{"containerPort": 1, "name": "UP"}]), f"{C}.ports[0].name: Invalid value"),
    ("pod", one(ports=[{"containerPort": 1, "name": "a" * 16}]), f"{C}.ports[0].name: Invalid value"),
    ("pod", one(ports=[{"containerPort": 1, "name": "12"}]), f"{C}.ports[0].name: Invalid value"),
    ("pod", one(ports=[{"containerPort": n, "name": "a"} for n in (1, 2)]), f"{C}.ports[1].name: Duplicate value"),
    (
        "pod",
        one(ports=[{"containerPort": n, "hostPort": 9} for n in (1, 2)]),
        f"{C}.ports[1].hostPort: Duplicate value",
    ),
    ("pod", one(ports=[{"containerPort": 1, "hostIP": "x"}]), f"{C}.ports[0].hostIP: Invalid value"),
    ("pod", one(env=[{"value": "x"}]), f"{C}.env[0].name: Required value"),
    ("pod", one(env=[{"name": "a=b"}]), f'{C}.env[0].name: Invalid value: "a=b": a valid environment variable name'),
    ("pod", one(env=[{"name": "A", "valueFrom": {}}]), f'{C}.env[0].valueFrom: Invalid value: "": must specify one of'),
    (
        "pod",
        one(env=[{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]),
        f'{C}.env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ),
    (
        "pod",
        one(env=[{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.color"}}}]),
        f'{C}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "spec.color"',
    ),
    (
        "pod",
        one(env=[{"name": "A", "valueFrom": {"configMapKeyRef": {"key": "k"}}}]),
        f"{C}.env[0].valueFrom.configMapKeyRef.name: Required value",
    ),
    (
        "pod",
        one(env=[{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]),
        f"{C}.env[0].valueFrom.secretKeyRef.key: Required value",
    ),
    (
        "pod",
        one(env=[{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]),
        f"{C}.env[0].valueFrom.resourceFieldRef.resource: Unsupported value",
    ),
    (
        "pod",
        one(envFrom=[{}]),
        f'{C}.envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
    ),
    ("pod", one(envFrom=[{"configMapRef": {}}]), f"{C}.envFrom[0].configMapRef.name: Required value"),
    (
        "pod",
        one(resources={"requests": {"cpu": "-1"}}),
        f'{C}.resources.requests[cpu]: Invalid value: "-1": must be gr',
    ),
    (
        "pod",
        one(resources={"limits": {"gpu": "1"}}),
        f'{C}.resources.limits[gpu]: Invalid value: "gpu": must be a stand',
    ),
    (
        "pod",
        one(resources={"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}),
        f'{C}.resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ),
    (
        "pod",
        one(resources={"limits": {"example.com/gpu": "500m"}}),
        f'{C}.resources.limits[example.com/gpu]: Invalid value: "500m": must be an integer',
    ),
    (
        "pod",
        one(resources={"requests": {"example.com/gpu": "1"}}),
        f"{C}.resources.limits: Required value: Limit must be set for non overcommitable resources",
    ),
    ("pod", one(securityContext={"runAsUser": -1}), f"{C}.securityContext.runAsUser: Invalid value: -1"),
    (
        "pod",
        one(securityContext={"privileged": True, "allowPrivilegeEscalation": False}),
        f"{C}.securityContext: Invalid value",
    ),
    (
        "pod",
        one(securityContext={"capabilities": {"add": ["SYS_ADMIN"]}, "allowPrivilegeEscalation": False}),
        f"{C}.securityContext: Invalid value",
    ),
    ("pod", one(securityContext={"procMount": "X"}), f"{C}.securityContext.procMount: Unsupported value"),
    # Probes and hooks
    ("pod", probe(), f"{C}.livenessProbe: Required value: must specify a handler type"),
    (
        "pod",
        probe(exec={"command": ["a"]}, **TCP),
        f"{C}.livenessProbe.tcpSocket: Forbidden: may not specify more than 1",
    ),
    ("pod", probe(exec={}), f"{C}.livenessProbe.exec.command: Required value"),
    ("pod", probe(tcpSocket={}), f"{C}.livenessProbe.tcpSocket.port: Required value"),
    (
        "pod",
        probe(httpGet={"port": 0}),
        f"{C}.livenessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535",
    ),
    ("pod", probe(httpGet={"port": "UP"}), f"{C}.livenessProbe.httpGet.port: Invalid value"),
    ("pod", probe(httpGet={"port": 1, "scheme": "FTP"}), f"{C}.livenessProbe.httpGet.scheme: Unsupported value"),
    (
        "pod",
        probe(httpGet={"port": 1, "httpHeaders": [{"name": "a b", "value": ""}]}),
        f"{C}.livenessProbe.httpGet.httpHeaders[0].name: Invalid value",
    ),
    ("pod", probe(grpc={}), f"{C}.livenessProbe.grpc.port: Required value"),
    (
        "pod",
        probe(periodSeconds=-1, **TCP),
        f"{C}.livenessProbe.periodSeconds: Invalid value: -1: must be greater than 0",
    ),
    ("pod", probe(timeoutSeconds=-1, **TCP), f"{C}.livenessProbe.timeoutSeconds: Invalid value"),
    ("pod", probe(failureThreshold=-1, **TCP), f"{C}.livenessProbe.failureThreshold: Invalid value"),
    ("pod", probe(initialDelaySeconds=-1, **TCP), f"{C}.livenessProbe.initialDelaySeconds: Invalid value"),
    ("pod", probe(successThreshold=2, **TCP), f"{C}.livenessProbe.successThreshold: Invalid value: 2: must be 1"),
    (
        "pod",
        one(readinessProbe={"terminationGracePeriodSeconds": 1, **TCP}),
        f"{C}.readinessProbe.terminationGracePeriodSeconds: Invalid value: 1: must not be set for readinessProbes",
    ),
    ("pod", one(lifecycle={"preStop": {}}), f"{C}.lifecycle.preStop: Required value: must specify a handler type"),
    ("pod", one(lifecycle={"preStop": {"exec": {}}}), f"{C}.lifecycle.preStop.exec.command: Required value"),
    ("pod", one(lifecycle={"preStop": {"sleep": {"seconds": -1}}}), f"{C}.lifecycle.preStop.sleep.seconds: Invalid"),
    # Volumes
    ("pod", spec(volumes=[{}]), "spec.volumes[0].name: Required value"),
    ("pod", spec(volumes=[{"name": "V"}]), 'spec.volumes[0].name: Invalid value: "V"'),
    ("pod", spec(volumes=[{"name": "v"}] * 2), 'spec.volumes[1].name: Duplicate value: "v"'),
    (
        "pod",
        vol(emptyDir={}, hostPath={"path": "/"}),
        "spec.volumes[0].emptyDir: Forbidden: may not specify more than 1",
    ),
    ("pod", vol(emptyDir={"medium": "Tape"}), 'spec.volumes[0].emptyDir.medium: Unsupported value: "Tape"'),
    (
        "pod",
        vol(emptyDir={"sizeLimit": "-1"}),
        "spec.volumes[0].emptyDir.sizeLimit: Forbidden: SizeLimit field must be",
    ),
    ("pod", vol(hostPath={}), "spec.volumes[0].hostPath.path: Required value"),
    (
        "pod",
        vol(hostPath={"path": "/a/../b"}),
        'spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not cont',
    ),
    ("pod", vol(hostPath={"path": "/a", "type": "Disk"}), 'spec.volumes[0].hostPath.type: Unsupported value: "Disk"'),
    ("pod", vol(configMap={}), "spec.volumes[0].configMap.name: Required value"),
    ("pod", vol(secret={}), "spec.volumes[0].secret.secretName: Required value"),
    (
        "pod",
        vol(configMap={"name": "c", "defaultMode": 1000}),
        "spec.volumes[0].configMap.defaultMode: Invalid value: 10",
    ),
    (
        "pod",
        vol(configMap={"name": "c", "items": [{"key": "k", "path": "../x"}]}),
        "spec.volumes[0].configMap.items[0].path: Invalid value: \"../x\": must not contain '..'",
    ),
    (
        "pod",
        vol(secret={"secretName": "c", "items": [{"key": "k", "path": "/x"}]}),
        'spec.volumes[0].secret.items[0].path: Invalid value: "/x": must be a relative path',
    ),
    ("pod", vol(secret={"secretName": "c", "items": [{"path": "x"}]}), "spec.volumes[0].secret.items[0].key: Required"),
    ("pod", vol(downwardAPI={"items": [{"path": "x"}]}), "spec.volumes[0].downwardAPI.items[0]: Required value"),
    ("pod", vol(projected={"sources": [{}]}), "spec.volumes[0].projected.sources[0]: Required value"),
    ("pod", vol(persistentVolumeClaim={}), "spec.volumes[0].persistentVolumeClaim.claimName: Required value"),
    ("pod", one(volumeMounts=[{"name": "x", "mountPath": "/x"}]), f'{C}.volumeMounts[0].name: Not found: "x"'),
    ("pod", one(volumeMounts=[{"name": "x"}]), f"{C}.volumeMounts[0].mountPath: Required value"),
    ("pod", one(volumeMounts=[{"name": "x", "mountPath": "a:b"}]), f"{C}.volumeMounts[0].mountPath: Invalid value"),
    (
        "pod",
        one(volumeMounts=[{"name": "x", "mountPath": "/x"}] * 2),
        f'{C}.volumeMounts[1].mountPath: Invalid value: "/x',
    ),
    (
        "pod",
        one(volumeMounts=[{"name": "x", "mountPath": "/x", "subPath": "/a"}]),
        f"{C}.volumeMounts[0].subPath: Inval",
    ),
    (
        "pod",
        one(volumeMounts=[{"name": "x", "mountPath": "/x", "mountPropagation": "Both"}]),
        f"{C}.volumeMounts[0].mountPropagation: Unsupported value",
    ),
    (
        "pod",
        one(volumeMounts=[{"name": "x", "mountPath": "/x", "recursiveReadOnly": "Enabled"}]),
        f"{C}.volumeMounts[0].recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
    ),
    # Workloads
    ("deployment", spec(replicas=-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
    ("deployment", spec(minReadySeconds=-1), "spec.minReadySeconds: Invalid value: -1"),
    ("deployment", spec(revisionHistoryLimit=-1), "spec.revisionHistoryLimit: Invalid value: -1"),
    ("deployment", spec(progressDeadlineSeconds=-1), "spec.progressDeadlineSeconds: Invalid value: -1"),
    (
        "deployment",
        spec(minReadySeconds=600),
        "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than m",
    ),
    ("deployment", spec(selector=None), "spec.selector: Required value"),
    (
        "deployment",
        spec(selector={"matchLabels": None}),
        'spec.selector: Invalid value: "{}": empty selector is invalid',
    ),
    (
        "deployment",
        spec(selector={"matchLabels": {"app": "api"}}),
        'spec.template.metadata.labels: Invalid value: "app=web": `selector` does not match template `labels`',
    ),
    (
        "deployment",
        spec(selector={"matchExpressions": [{"key": "app", "operator": "Like"}]}),
        'spec.selector.matchExpressions[0].operator: Invalid value: "Like"',
    ),
    (
        "deployment",
        spec(selector={"matchExpressions": [{"key": "app", "operator": "In"}]}),
        "spec.selector.matchExpressions[0].values: Required value",
    ),
    ("deployment", spec(selector={"matchLabels": {"a b": "c"}}), 'spec.selector.matchLabels: Invalid value: "a b"'),
    ("deployment", spec(strategy={"type": "Canary"}), 'spec.strategy.type: Unsupported value: "Canary"'),
    (
        "deployment",
        spec(strategy={"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}),
        "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'",
    ),
    (
        "deployment",
        spec(strategy={"rollingUpdate": {"maxSurge": 0, "maxUnavailable": "0%"}}),
        "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0",
    ),
    (
        "deployment",
        spec(strategy={"rollingUpdate": {"maxUnavailable": "150%"}}),
        'spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "150%": must not be greater than 100%',
    ),
    (
        "deployment",
        spec(strategy={"rollingUpdate": {"maxSurge": "few"}}),
        'spec.strategy.rollingUpdate.maxSurge: Invalid value: "few": a valid percent string must be',
    ),
    ("deployment", template(restartPolicy="Never"), 'spec.template.spec.restartPolicy: Unsupported value: "Never"'),
    ("deployment", template(activeDeadlineSeconds=5), "spec.template.spec.activeDeadlineSeconds: Forbidden"),
    ("deployment", template(containers=[{"name": "c"}]), "spec.template.spec.containers[0].image: Required value"),
    ("replicaset", spec(replicas=-1), "spec.replicas: Invalid value: -1"),
    ("replicaset", spec(selector=None), "spec.selector: Required value"),
    # The others
    ("configmap", {"data": {"a/b": "c"}}, 'data[a/b]: Invalid value: "a/b": a valid config key must consist of'),
    ("configmap", {"data": {"..": "c"}}, 'data[..]: Invalid value: ".."'),
    (
        "configmap",
        {"data": {"a": "c"}, "binaryData": {"a": "Yw=="}},
        'data[a]: Invalid value: "a": duplicate of key pres',
    ),
    ("configmap", {"data": {"a": "x" * 1_048_577}}, "data: Too long: may not be more than 1048576 bytes"),
    ("secret", {"data": {"a b": "Yw=="}}, 'data[a b]: Invalid value: "a b"'),
    ("secret", {"type": "kubernetes.io/tls"}, "data[tls.crt]: Required value"),
    ("secret", {"type": "kubernetes.io/basic-auth"}, "data[username]: Required value"),
    ("secret", {"type": "kubernetes.io/ssh-auth"}, "data[ssh-privatekey]: Required value"),
    (
        "secret",
        {"type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": "secret words"}},
        'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>"',
    ),
    ("node", spec(taints=[{"effect": "NoSchedule"}]), "spec.taints[0].key: Required value"),
    ("node", spec(taints=[{"key": "a"}]), "spec.taints[0].effect: Required value"),
    ("node", spec(taints=[{"key": "a", "effect": "Never"}]), 'spec.taints[0].effect: Unsupported value: "Never"'),
    ("node", spec(taints=[{"key": "a", "effect": "NoExecute"}] * 2), "spec.taints[1]: Duplicate value"),
    ("node", spec(podCIDR="10.0.0.0"), 'spec.podCIDR: Invalid value: "10.0.0.0": must be a valid CIDR value'),
    ("lease", spec(leaseDurationSeconds=0), "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"),
    ("lease", spec(leaseTransitions=-1), "spec.leaseTransitions: Invalid value: -1"),
    (
        "event",
        {"involvedObject": {"namespace": "other"}},
        'involvedObject.namespace: Invalid value: "other": does not m',
    ),
    ("event", {"type": "Scary"}, 'type: Unsupported value: "Scary"'),
    ("event", {"reason": "x" * 129}, "reason: Too long"),
]


def problems(document):
    kind = kinds.by_kind(document["apiVersion"], document["kind"])
    return [str(problem) for problem in validation.validate(defaults.apply(json.decode_strict(document, kind.type)))]


@pytest.mark.parametrize("name", GOOD)
def test_the_good_object_is_good(name):
    assert problems(GOOD[name]) == []


@pytest.mark.parametrize(("name", "change", "expected"), ROWS, ids=[f"{i}-{row[2][:50]}" for i, row in enumerate(ROWS)])
def test_the_wrong_field_is_named(name, change, expected):
    found = problems(merge_patch(GOOD[name], change))
    assert any(problem.startswith(expected) for problem in found), found


def test_there_are_many_rows():
    assert len(ROWS) >= 120


def test_all_problems_are_told_at_once():
    bad = merge_patch(POD, spec(restartPolicy="X", dnsPolicy="Y", containers=[{"name": "A"}]))
    assert len(problems(bad)) == 4


def test_secret_contents_are_in_no_message():
    bad = merge_patch(GOOD["secret"], {"stringData": {"a b": "hunter2"}, "type": "kubernetes.io/tls"})
    assert problems(bad)
    assert "hunter2" not in " ".join(problems(bad))
