"""Every field of every request of CRI is honoured, refused, or ignored for a reason that is written down."""

from __future__ import annotations

import pytest
from google.protobuf.descriptor import Descriptor

from knarr_proto.cri import api_pb2 as cri
from knarr_runtime.cri import fields
from knarr_runtime.errors import Invalid

UNIMPLEMENTED = {"CheckpointContainerRequest", "CheckpointPodRequest", "RestorePodRequest"}
"""Requests that are answered UNIMPLEMENTED as a whole."""

HONOURED = {
    "AttachRequest": "container_id stdin tty stdout stderr",
    "AuthConfig": "username password auth server_address identity_token registry_token",
    "Capability": "add_capabilities drop_capabilities add_ambient_capabilities",
    "CDIDevice": "name",
    "ContainerConfig": "metadata image command args working_dir envs mounts devices labels annotations log_path stdin "
    "stdin_once tty linux stop_signal CDI_devices",
    "ContainerFilter": "id state pod_sandbox_id label_selector",
    "ContainerMetadata": "name attempt",
    "ContainerStateValue": "state",
    "ContainerStatsFilter": "id pod_sandbox_id label_selector",
    "ContainerStatsRequest": "container_id",
    "ContainerStatusRequest": "container_id verbose",
    "CreateContainerRequest": "pod_sandbox_id config",
    "DNSConfig": "servers searches options",
    "Device": "container_path host_path permissions",
    "ExecRequest": "container_id cmd tty stdin stdout stderr",
    "ExecSyncRequest": "container_id cmd timeout",
    "HugepageLimit": "page_size limit",
    "IDMapping": "host_id container_id length",
    "ImageFilter": "image",
    "ImageSpec": "image user_specified_image runtime_handler",
    "ImageStatusRequest": "image verbose",
    "Int64Value": "value",
    "KeyValue": "key value",
    "LinuxContainerConfig": "resources security_context",
    "LinuxContainerResources": "cpu_period cpu_quota cpu_shares memory_limit_in_bytes oom_score_adj cpuset_cpus "
    "cpuset_mems hugepage_limits unified memory_swap_limit_in_bytes",
    "LinuxContainerSecurityContext": "capabilities privileged namespace_options run_as_user run_as_username "
    "readonly_rootfs supplemental_groups apparmor_profile seccomp_profile_path no_new_privs run_as_group masked_paths "
    "readonly_paths seccomp apparmor supplemental_groups_policy cgroup_mount_mode "
    "selinux_options",
    "LinuxPodSandboxConfig": "cgroup_parent security_context sysctls overhead resources",
    "LinuxSandboxSecurityContext": "namespace_options selinux_options",
    "SELinuxOption": "user role type level",
    "ListContainerStatsRequest": "filter",
    "ListContainersRequest": "filter",
    "ListImagesRequest": "filter",
    "ListPodSandboxRequest": "filter",
    "ListPodSandboxStatsRequest": "filter",
    "Mount": "container_path host_path readonly propagation selinux_relabel recursive_read_only image image_sub_path "
    "uidMappings gidMappings",
    "NamespaceOption": "network pid ipc target_id userns_options",
    "NetworkConfig": "pod_cidr",
    "PodSandboxConfig": "metadata hostname log_directory dns_config port_mappings labels annotations linux",
    "PodSandboxFilter": "id state label_selector",
    "PodSandboxMetadata": "name uid namespace attempt",
    "PodSandboxStateValue": "state",
    "PodSandboxStatsFilter": "id label_selector",
    "PodSandboxStatsRequest": "pod_sandbox_id",
    "PodSandboxStatusRequest": "pod_sandbox_id verbose",
    "PortForwardRequest": "pod_sandbox_id port",
    "PortMapping": "protocol container_port host_port host_ip",
    "PullImageRequest": "image auth",
    "RemoveContainerRequest": "container_id",
    "RemoveImageRequest": "image",
    "RemovePodSandboxRequest": "pod_sandbox_id",
    "ReopenContainerLogRequest": "container_id",
    "RunPodSandboxRequest": "config runtime_handler",
    "RuntimeConfig": "network_config",
    "SecurityProfile": "profile_type localhost_ref",
    "StartContainerRequest": "container_id",
    "StatusRequest": "verbose",
    "StopContainerRequest": "container_id timeout",
    "StopPodSandboxRequest": "pod_sandbox_id",
    "StreamContainerStatsRequest": "filter",
    "StreamContainersRequest": "filter",
    "StreamImagesRequest": "filter",
    "StreamPodSandboxStatsRequest": "filter",
    "StreamPodSandboxesRequest": "filter",
    "UpdateContainerResourcesRequest": "container_id linux",
    "UpdatePodSandboxResourcesRequest": "pod_sandbox_id overhead resources",
    "UpdateRuntimeConfigRequest": "runtime_config",
    "UserNamespace": "mode uids gids",
}


def requested() -> dict[str, Descriptor]:
    """Messages that can be part of a request, without those below a field that is refused as a whole."""
    found: dict[str, Descriptor] = {}

    def visit(message: Descriptor) -> None:
        if message.name in found or message.name in UNIMPLEMENTED:
            return
        found[message.name] = message
        for field in message.fields:
            inner = field.message_type
            if inner and not inner.GetOptions().map_entry and f"{message.name}.{field.name}" not in fields.REFUSED:
                visit(inner)

    for service in cri.DESCRIPTOR.services_by_name.values():
        for method in service.methods:
            visit(method.input_type)
    return found


def test_every_field_of_a_request_is_accounted_for_once() -> None:
    honoured = {f"{message}.{field}" for message, names in HONOURED.items() for field in names.split()}
    tables = (honoured, fields.REFUSED.keys(), fields.IGNORED.keys())
    existing = {f"{name}.{field.name}" for name, message in requested().items() for field in message.fields}
    assert existing - set().union(*tables) == set(), "say in cri/fields.py or here what becomes of them"
    assert set().union(*tables) - existing == set(), "there are no such fields"
    assert sum(map(len, tables)) == len(existing), "some are in two tables"


@pytest.mark.parametrize("name", sorted(fields.REFUSED))
def test_a_refused_field_is_named(name: str) -> None:
    message_name, _, field_name = name.partition(".")
    message = getattr(cri, message_name)()
    field = message.DESCRIPTOR.fields_by_name[field_name]
    if field.message_type is None:
        getattr(message, field_name).append("x") if field.is_repeated else setattr(message, field_name, 1)
    elif field.is_repeated:
        getattr(message, field_name).add()
    else:
        inner = getattr(message, field_name)
        first = field.message_type.fields[0]
        if first.message_type is not None:
            getattr(inner, first.name).SetInParent()
        else:
            setattr(inner, first.name, "x" if first.cpp_type == first.CPPTYPE_STRING else 1)
    with pytest.raises(Invalid, match=f"^config.{field_name}: "):
        fields.check(message, "config")


def test_an_empty_message_refuses_nothing() -> None:
    config = cri.PodSandboxConfig()
    config.windows.SetInParent()
    fields.check(config)


def test_the_path_leads_to_the_field() -> None:
    mounts = [cri.Mount(), cri.Mount(mount_options=["noexec"])]
    request = cri.CreateContainerRequest(config=cri.ContainerConfig(mounts=mounts))
    with pytest.raises(Invalid, match=r"^config.mounts\[1\].mount_options: "):
        fields.check(request)
