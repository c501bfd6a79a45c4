"""From a pod's and a container's security contexts to what CRI is asked for. Pure."""

from __future__ import annotations

from knarr_api.errors import Invalid
from knarr_api.types.core_v1 import AppArmorProfile, Container, Pod, SeccompProfile, SecurityContext, SELinuxOptions
from knarr_node_agent import user_ranges
from knarr_node_agent.runtime import Image
from knarr_proto.cri import api_pb2 as cri

MASKED = (
    *("/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def of_sandbox(pod: Pod, users: int | None) -> cri.LinuxSandboxSecurityContext:
    """users: first id of the pod's own range, if it has a user namespace."""
    context = cri.LinuxSandboxSecurityContext(namespace_options=namespaces(pod, users))
    of_pod = pod.spec.security_context
    if of_pod is not None and of_pod.se_linux_options is not None:
        context.selinux_options.CopyFrom(_selinux(of_pod.se_linux_options))
    return context


def of_container(pod: Pod, container: Container, image: Image, users: int | None) -> cri.LinuxContainerSecurityContext:
    own = container.security_context or SecurityContext()
    of_pod = pod.spec.security_context
    privileged = bool(own.privileged)
    user = own.run_as_user if own.run_as_user is not None else (of_pod.run_as_user if of_pod is not None else None)
    group = own.run_as_group if own.run_as_group is not None else (of_pod.run_as_group if of_pod is not None else None)
    context = cri.LinuxContainerSecurityContext(
        privileged=privileged,
        namespace_options=namespaces(pod, users),
        readonly_rootfs=bool(own.read_only_root_filesystem),
        no_new_privs=own.allow_privilege_escalation is False,
        seccomp=_seccomp(own.seccomp_profile or (of_pod.seccomp_profile if of_pod is not None else None), privileged),
        masked_paths=() if privileged or own.proc_mount == "Unmasked" else MASKED,
        readonly_paths=() if privileged or own.proc_mount == "Unmasked" else READONLY,
    )
    apparmor = own.app_armor_profile or (of_pod.app_armor_profile if of_pod is not None else None)
    if apparmor is not None:
        context.apparmor.CopyFrom(_apparmor(apparmor, privileged))
    selinux = own.se_linux_options or (of_pod.se_linux_options if of_pod is not None else None)
    if selinux is not None:
        context.selinux_options.CopyFrom(_selinux(selinux))
    if own.capabilities is not None:
        context.capabilities.add_capabilities.extend(own.capabilities.add)
        context.capabilities.drop_capabilities.extend(own.capabilities.drop)
    if user is not None:
        context.run_as_user.value = user
    if group is not None:
        context.run_as_group.value = group
        if user is None and image.user_name:  # CRI wants a user with a group: the image's
            context.run_as_username = image.user_name
        elif user is None:
            context.run_as_user.value = image.user_id or 0
    if of_pod is not None:
        context.supplemental_groups.extend(of_pod.supplemental_groups)
        if of_pod.fs_group is not None:
            context.supplemental_groups.append(of_pod.fs_group)
        if of_pod.supplemental_groups_policy == "Strict":
            context.supplemental_groups_policy = cri.Strict
    return context


def _seccomp(profile: SeccompProfile | None, privileged: bool) -> cri.SecurityProfile:
    if privileged or (profile is not None and profile.type == "Unconfined"):
        return cri.SecurityProfile(profile_type=cri.Unconfined)
    if profile is not None and profile.type == "Localhost":
        return cri.SecurityProfile(profile_type=cri.Localhost, localhost_ref=profile.localhost_profile or "")
    return cri.SecurityProfile(profile_type=cri.RuntimeDefault)


def _apparmor(profile: AppArmorProfile, privileged: bool) -> cri.SecurityProfile:
    if privileged or profile.type == "Unconfined":
        return cri.SecurityProfile(profile_type=cri.Unconfined)
    if profile.type == "Localhost":
        return cri.SecurityProfile(profile_type=cri.Localhost, localhost_ref=profile.localhost_profile)
    return cri.SecurityProfile(profile_type=cri.RuntimeDefault)


def _selinux(options: SELinuxOptions) -> cri.SELinuxOption:
    return cri.SELinuxOption(user=options.user, role=options.role, type=options.type, level=options.level)


def mappings(users: int | None) -> list[cri.IDMapping]:
    return [] if users is None else [cri.IDMapping(host_id=users, container_id=0, length=user_ranges.LENGTH)]


def namespaces(pod: Pod, users: int | None) -> cri.NamespaceOption:
    spec = pod.spec
    pid = cri.CONTAINER
    if spec.share_process_namespace:
        pid = cri.POD
    if spec.host_pid:
        pid = cri.NODE
    options = cri.NamespaceOption(
        network=cri.NODE if spec.host_network else cri.POD, pid=pid, ipc=cri.NODE if spec.host_ipc else cri.POD
    )
    if users is not None:
        own = cri.UserNamespace(mode=cri.POD, uids=mappings(users), gids=mappings(users))
        options.userns_options.CopyFrom(own)
    return options


def check_non_root(pod: Pod, container: Container, image: Image) -> None:
    """Raises Invalid for a container that must not run as root and would, or might."""
    own, of_pod = container.security_context, pod.spec.security_context
    wanted = own.run_as_non_root if own is not None else None
    if wanted is None and of_pod is not None:
        wanted = of_pod.run_as_non_root
    if not wanted:
        return
    user = own.run_as_user if own is not None else None
    if user is None and of_pod is not None:
        user = of_pod.run_as_user
    if user == 0:
        raise Invalid("container's runAsUser breaks non-root policy")
    if user is not None:
        return
    if image.user_name:
        raise Invalid(
            f"container has runAsNonRoot and image has non-numeric user ({image.user_name}), cannot verify user is "
            "non-root: set runAsUser"
        )
    if not image.user_id:
        raise Invalid("container has runAsNonRoot and image will run as root: set runAsUser")
