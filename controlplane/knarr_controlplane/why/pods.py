"""Why a pod is as it is: its conditions, containers, probes, node and events as findings. Pure."""

from __future__ import annotations

import datetime
import signal
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from types import MappingProxyType

from knarr_api.types.core_v1 import Container, ContainerStateTerminated, ContainerStatus, Event, Node, Pod
from knarr_controlplane.why.findings import Finding, of_events, worst
from knarr_controlplane.why.probes import looping, of_probes

IMAGE = "import the image with 'knarr image import FILE', or correct its name"
CONFIG = "create what is missing, or mark the reference optional"
REMEDIES = {
    "ErrImagePull": IMAGE,
    "ImagePullBackOff": IMAGE,
    "ErrImageNeverPull": "import the image with 'knarr image import FILE'",
    "InvalidImageName": "correct spec.containers[].image",
    "CreateContainerConfigError": CONFIG,
    "RunContainerError": "look at command and args: the program must exist in the image",
    "StartError": "look at command and args: the program must exist in the image",
    "OOMKilled": "raise resources.limits.memory, or make the program use less",
    "Evicted": "the node ran short of something: ask for what the pod needs in resources.requests",
    "DeadlineExceeded": "raise spec.activeDeadlineSeconds, or make the work shorter",
    "NodeNotFound": "delete the pod",
}
STARTING = ("ContainerCreating", "PodInitializing")
EXITS = {126: "the program could not be executed", 127: "the program was not found"}
MAX_NODES = 20


def summary(pod: Pod, found: tuple[Finding, ...]) -> str:
    """One sentence."""
    state = f"pod {pod.metadata.name} is {pod.status.phase or 'Pending'}"
    if pod.metadata.deletion_timestamp is not None:
        state = f"pod {pod.metadata.name} is being deleted"
    settled = pod.status.phase == "Succeeded" or _condition(pod, "Ready") == "True"
    first = worst(one for one in found if not (settled and one.subject == "event"))
    if first is None:
        return f"{state}, and nothing is wrong with it"
    return f"{state}: {first.subject}: {first.message or first.reason}"


def findings(
    pod: Pod,
    node: Node | None,
    events: tuple[Event, ...],
    verdicts: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    *,
    now: datetime.datetime,
    schedulers: Collection[str] = (),
) -> tuple[Finding, ...]:
    """In the order in which a pod comes to life. verdicts: of each node, why it can't take the pod. schedulers: those
    that there are, where it is known."""
    own = tuple(one for one in events if one.involved_object and one.involved_object.uid in ("", pod.metadata.uid))
    return (
        *_end(pod, now),
        *_scheduling(pod, schedulers),
        *_verdicts(verdicts),
        *_node(pod, node),
        *_containers(pod, own),
        *of_events(own, now),
    )


def _end(pod: Pod, now: datetime.datetime) -> Iterator[Finding]:
    """That it was ended, or is about to be, by others than its program."""
    if pod.status.phase == "Failed" and pod.status.reason:
        reason = pod.status.reason
        yield Finding("error", "pod", reason, pod.status.message or reason, REMEDIES.get(reason, ""))
    for condition in pod.status.conditions:
        if condition.type == "DisruptionTarget" and condition.status == "True":
            yield Finding("warning", "disruption", condition.reason, condition.message)
    until = pod.metadata.deletion_timestamp
    if until is None:
        return
    if pod.metadata.finalizers:
        names = ", ".join(pod.metadata.finalizers)
        yield Finding("warning", "deletion", "Finalizers", f"goes when these finalizers are removed: {names}")
    elif until > now:
        left_s = int((until - now).total_seconds())
        yield Finding("info", "deletion", "Terminating", f"its containers have {left_s} s left to end")
    else:
        remedy = "look at its node's agent; 'knarr delete --force --grace-period=0' forgets the pod"
        yield Finding("warning", "deletion", "Terminating", "its time to end is over, its node has not let go", remedy)


def _scheduling(pod: Pod, schedulers: Collection[str]) -> Iterator[Finding]:
    condition = next((c for c in pod.status.conditions if c.type == "PodScheduled"), None)
    if pod.spec.node_name:
        yield Finding("ok", "scheduling", "Scheduled", f"assigned to node {pod.spec.node_name}")
    elif pod.spec.scheduling_gates:
        gates = ", ".join(gate.name for gate in pod.spec.scheduling_gates)
        remedy = "whoever set the gates takes them away when the pod may go on"
        yield Finding("warning", "scheduling", "SchedulingGated", f"held back by its gates: {gates}", remedy)
    elif pod.status.nominated_node_name:
        node = pod.status.nominated_node_name
        yield Finding("warning", "scheduling", "Preempting", f"less important pods are leaving node {node} for it")
    elif condition is not None and condition.status == "False":
        remedy = "free or add resources, or loosen what the pod demands of its node"
        if condition.reason == "SchedulerError":
            remedy = "it is tried again by itself; if that goes on, look at the control plane's store"
        yield Finding("error", "scheduling", condition.reason, condition.message, remedy)
    elif schedulers and pod.spec.scheduler_name and pod.spec.scheduler_name not in schedulers:
        there = ", ".join(f'"{name}"' for name in sorted(schedulers))
        message = f'waits for a scheduler named "{pod.spec.scheduler_name}"; here are {there}'
        yield Finding("warning", "scheduling", "OtherScheduler", message, "correct spec.schedulerName, or start it")
    else:
        yield Finding("info", "scheduling", "Waiting", "waits for the scheduler")


def _verdicts(verdicts: Mapping[str, tuple[str, ...]]) -> Iterator[Finding]:
    """Node by node where they are few, else reason by reason."""
    if len(verdicts) <= MAX_NODES:
        for name, reasons in sorted(verdicts.items()):
            if reasons:
                yield Finding("warning", f"node {name}", "DoesNotFit", ", ".join(reasons))
            else:
                yield Finding("info", f"node {name}", "Fits", "could take it")
        return
    for reasons, count in Counter(verdicts.values()).most_common(MAX_NODES):
        text = ", ".join(reasons) if reasons else "could take it"
        yield Finding("warning" if reasons else "info", f"{count} nodes", "DoesNotFit" if reasons else "Fits", text)


def _node(pod: Pod, node: Node | None) -> Iterator[Finding]:
    if not pod.spec.node_name:
        return
    subject = f"node {pod.spec.node_name}"
    if node is None:
        yield Finding("error", subject, "NodeNotFound", "the node does not exist any more", REMEDIES["NodeNotFound"])
        return
    ready = next((c for c in node.status.conditions if c.type == "Ready"), None)
    if ready is None or ready.status != "True":
        state = ready.status if ready is not None else "Unknown"
        message = ready.message if ready is not None else "it has never reported"
        yield Finding("error", subject, "NodeNotReady", f"Ready is {state}: {message}", "look at the node's agent")
    else:
        yield Finding("ok", subject, "NodeReady", "ready")


def _containers(pod: Pod, events: tuple[Event, ...]) -> Iterator[Finding]:
    specs = {container.name: container for container in (*pod.spec.init_containers, *pod.spec.containers)}
    for number, status in enumerate((*pod.status.init_container_statuses, *pod.status.container_statuses)):
        role = "init container" if number < len(pod.status.init_container_statuses) else "container"
        own = _container(pod, f"{role} {status.name}", status)
        probes = of_probes(f"{role} {status.name}", specs.get(status.name, Container()), status, events)
        yield from (*probes, *own) if looping(status) else (*own, *probes)


def _container(pod: Pod, subject: str, status: ContainerStatus) -> Iterator[Finding]:
    state = status.state
    if state is None:
        return
    last = status.last_state.terminated if status.last_state is not None else None
    logs = f"see 'knarr logs {pod.metadata.name} -n {pod.metadata.namespace} -c {status.name}"
    restarts = status.restart_count or 0
    if state.waiting is not None:
        reason, message = state.waiting.reason, state.waiting.message or state.waiting.reason
        if reason in STARTING:
            stuck = reason == STARTING[0] and message != reason
            yield Finding("error" if stuck else "info", subject, reason, message, _remedy_of(message) if stuck else "")
        elif reason == "CrashLoopBackOff" and last is not None:
            text = f"{_ended(last)}, {restarts} restarts; {message}"
            yield Finding("error", subject, reason, text, REMEDIES.get(last.reason, f"{logs} --previous'"))
            return
        else:
            yield Finding("error", subject, reason, message, REMEDIES.get(reason, ""))
    elif state.running is not None:
        severity, word = ("ok", "ready") if status.ready else ("warning", "running, not ready yet")
        yield Finding(severity, subject, "Running", f"{word}; {restarts} restarts")
    elif state.terminated is not None:
        ended = state.terminated
        severity, remedy = ("error", REMEDIES.get(ended.reason, f"{logs}'")) if ended.exit_code else ("ok", "")
        yield Finding(severity, subject, ended.reason, _ended(ended), remedy)
    if last is not None:
        severity = "warning" if last.exit_code else "info"
        yield Finding(severity, subject, last.reason, f"its previous run {_ended(last)}", REMEDIES.get(last.reason, ""))


def _ended(run: ContainerStateTerminated) -> str:
    """``ended with exit code 137 (OOMKilled): killed by SIGKILL``."""
    code = run.exit_code or 0
    text = f"ended with exit code {code}"
    if run.reason not in ("", "Completed", "Error"):
        text += f" ({run.reason})"
    meaning = EXITS.get(code, "")
    if 128 < code < 128 + signal.NSIG:
        try:
            meaning = f"killed by {signal.Signals(code - 128).name}"
        except ValueError:
            meaning = f"killed by signal {code - 128}"
    said = run.message.strip() or meaning
    return f"{text}: {said}" if said else text


def _remedy_of(message: str) -> str:
    if "not found" in message and any(kind in message for kind in ("configmap", "secret")):
        return CONFIG
    if "of a type that is not supported" in message:
        return "use emptyDir, hostPath, configMap, secret, projected or downwardAPI volumes"
    return ""


def _condition(pod: Pod, type_: str) -> str:
    return next((condition.status for condition in pod.status.conditions if condition.type == type_), "")
