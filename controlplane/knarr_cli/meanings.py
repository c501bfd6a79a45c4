"""What the fields mean that people ask about most, for ``knarr explain``: by type and name."""

from __future__ import annotations

from knarr_api import kinds

MEANINGS = {
    "ObjectMeta": {
        "name": "Unique among objects of the kind in the namespace; can't be changed.",
        "namespace": "Where the object is; can't be changed.",
        "labels": "What selectors find the object by.",
        "annotations": "Notes of people and programs; nothing is selected by them.",
        "generateName": "Beginning of a name that the API completes where none is given.",
        "ownerReferences": "Objects this one belongs to; it goes when all of them are gone.",
        "finalizers": "Who must agree before a deleted object goes.",
        "resourceVersion": "Changes with every write; one that is given must be the present one.",
        "generation": "Counts the changes of what is wanted.",
        "uid": "Of this very object: another one of the same name has another.",
        "creationTimestamp": "When the API stored it first.",
        "deletionTimestamp": "Set when it is being deleted: the time by which it is to be gone.",
    },
    "PodSpec": {
        "containers": "What runs beside each other, at least one.",
        "initContainers": "What runs before, one after the other; with restartPolicy Always also beside the rest.",
        "volumes": "What containers may mount.",
        "nodeName": "The node it is on; set by the scheduler.",
        "nodeSelector": "Labels that its node must have.",
        "affinity": "Nodes and pods it must, or had better, be near or apart from.",
        "tolerations": "Taints of nodes that do not keep it away.",
        "topologySpreadConstraints": "How evenly pods like it must be spread over zones, nodes, ….",
        "restartPolicy": "Whether ended containers start again: Always, OnFailure, Never.",
        "terminationGracePeriodSeconds": "Time to end after SIGTERM before SIGKILL. Default 30.",
        "priorityClassName": "How important it is: who waits for room, and who makes room.",
        "serviceAccountName": "As whom its containers ask the API.",
        "schedulingGates": "It is not scheduled before all of these are taken away.",
        "hostNetwork": "It uses its node's network instead of one of its own.",
    },
    "Container": {
        "name": "Unique in the pod.",
        "image": "What is run: REGISTRY/NAME:TAG or @DIGEST.",
        "imagePullPolicy": "When the image is fetched: Always, IfNotPresent, Never.",
        "command": "In place of the image's entrypoint.",
        "args": "In place of the image's arguments.",
        "env": "Environment variables.",
        "envFrom": "All keys of ConfigMaps and Secrets as variables.",
        "ports": "What it listens on; for people, and for hostPort.",
        "resources": "What is kept for it (requests) and the most it may use (limits).",
        "volumeMounts": "Where it sees the pod's volumes.",
        "livenessProbe": "Where this fails the container is started anew.",
        "readinessProbe": "Only while this succeeds does the pod count as ready.",
        "startupProbe": "The other probes wait for the first success of this one.",
        "lifecycle": "What is called after its start and before its end.",
        "securityContext": "User, capabilities and confinement.",
        "workingDir": "In place of the image's.",
    },
    "DeploymentSpec": {
        "replicas": "How many pods there are to be. Default 1.",
        "selector": "Which pods are its own; can't be changed.",
        "template": "The pods it makes; a change rolls them out.",
        "strategy": "How pods are replaced: step by step (RollingUpdate), or all at once (Recreate).",
        "minReadySeconds": "How long a pod must be ready to count as available.",
        "revisionHistoryLimit": "Old ReplicaSets that are kept for an undo. Default 10.",
        "progressDeadlineSeconds": "A rollout without progress for so long has failed. Default 600.",
        "paused": "Changes of the template wait.",
    },
    "RollingUpdateDeployment": {
        "maxSurge": "Pods, or percent, that may be there beyond replicas meanwhile. Default 25%.",
        "maxUnavailable": "Pods, or percent, that may be missing meanwhile. Default 25%.",
    },
    "StatefulSetSpec": {
        "podManagementPolicy": "One pod after the other (OrderedReady), or all at once (Parallel).",
        "serviceName": "The Service that names its pods.",
        "volumeClaimTemplates": "A claim of each of these is made for every pod, and stays with its number.",
    },
    "JobSpec": {
        "completions": "Pods that must succeed.",
        "parallelism": "Pods that run at a time at most.",
        "backoffLimit": "Failures after which the Job has failed. Default 6.",
        "completionMode": "NonIndexed, or Indexed: every pod has a number.",
        "activeDeadlineSeconds": "Time after which the Job has failed.",
        "ttlSecondsAfterFinished": "It is deleted so long after its end.",
        "suspend": "Its pods are deleted, and none made, while this is true.",
    },
    "CronJobSpec": {
        "schedule": "Minute, hour, day of month, month, day of week.",
        "timeZone": "Whose clock the schedule is of.",
        "concurrencyPolicy": "While the last Job runs: start beside it (Allow), skip (Forbid), replace it (Replace).",
        "startingDeadlineSeconds": "A start that is later than this is skipped.",
    },
    "ServiceSpec": {
        "selector": "The pods that it is for.",
        "ports": "What it offers, and where in the pods that is.",
    },
    "PodDisruptionBudgetSpec": {
        "minAvailable": "Pods, or percent, that an eviction must leave available.",
        "maxUnavailable": "Pods, or percent, that evictions may make unavailable.",
    },
    "Probe": {
        "periodSeconds": "Time between two tries. Default 10.",
        "timeoutSeconds": "A try that takes longer has failed. Default 1.",
        "failureThreshold": "Failures in a row that count. Default 3.",
        "successThreshold": "Successes in a row that count. Default 1.",
        "initialDelaySeconds": "Time after the container's start before the first try.",
    },
    "Taint": {
        "effect": "NoSchedule, PreferNoSchedule, or NoExecute: pods that are there already have to leave.",
    },
    "Toleration": {
        "tolerationSeconds": "How long a NoExecute taint is borne; for ever where it is not given.",
        "operator": "Exists: any value; Equal: the same value; Lt, Gt: a lesser or greater number than value.",
    },
    "NodeSpec": {
        "unschedulable": "No new pods come to it; as `knarr cordon` sets it.",
        "taints": "What keeps pods away that do not tolerate it.",
    },
}
KINDS = frozenset(kind.kind for kind in (*kinds.KINDS, *kinds.COMPUTED))
COMMON = {
    "apiVersion": "Group and version of the kind.",
    "kind": "What the object is.",
    "metadata": "Its name, labels and what the API notes of it.",
    "spec": "What is wanted.",
    "status": "What was seen last.",
}
"""Of every kind."""


def meaning(type_name: str, field: str) -> str:
    """Empty where nothing is said of it."""
    common = COMMON if type_name in KINDS else {}
    return MEANINGS.get(type_name, {}).get(field) or common.get(field, "")
