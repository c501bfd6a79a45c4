"""What of CRI's requests is not honoured: refused when it is set, or of no meaning here. All other fields are honoured.

A request that sets a refused field is answered INVALID_ARGUMENT with the field's path; nothing is dropped in silence.
``tests/unit/knarr_runtime/cri/test_fields.py`` holds every field of every request against these tables.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor import FieldDescriptor

from knarr_runtime.errors import Invalid

_WINDOWS = "this is a runtime for Linux containers"
_SELINUX = "SELinux labels are not set by this runtime"

REFUSED: dict[str, str] = {
    "PodSandboxConfig.windows": _WINDOWS,
    "ContainerConfig.windows": _WINDOWS,
    "UpdateContainerResourcesRequest.windows": _WINDOWS,
    "ContainerConfig.CDI_devices": "CDI is not supported: name the devices in config.devices",
    "LinuxSandboxSecurityContext.selinux_options": _SELINUX,
    "LinuxContainerSecurityContext.selinux_options": _SELINUX,
    "Mount.uidMappings": "ID-mapped mounts are not supported",
    "Mount.gidMappings": "ID-mapped mounts are not supported",
    "Mount.mount_options": "only readonly, recursive_read_only and propagation can be chosen",
}
"""``Message.field`` → why; refused when it is set to something."""

IGNORED: dict[str, str] = {
    "VersionRequest.version": "the kubelet sends its own; there is one version of the API",
    "Mount.selinux_relabel": "kubelets set it on every volume; without SELinux there is nothing to relabel",
    "ImageSpec.annotations": "informational",
    "ImageSpec.image_ref": "an answer's field",
    "CreateContainerRequest.sandbox_config": "the sandbox was made with it and remembers it",
    "PullImageRequest.sandbox_config": "images are pulled alike for every pod",
    "UpdateContainerResourcesRequest.annotations": "for runtimes with extensions; none of ours reads them",
    "LinuxSandboxSecurityContext.run_as_user": "a sandbox runs no program of its own",
    "LinuxSandboxSecurityContext.run_as_group": "a sandbox runs no program of its own",
    "LinuxSandboxSecurityContext.readonly_rootfs": "a sandbox has no root of its own",
    "LinuxSandboxSecurityContext.supplemental_groups": "a sandbox runs no program of its own",
    "LinuxSandboxSecurityContext.supplemental_groups_policy": "a sandbox runs no program of its own",
    "LinuxSandboxSecurityContext.privileged": "a sandbox runs no program of its own",
    "LinuxSandboxSecurityContext.seccomp_profile_path": "a sandbox runs no program of its own",
    "LinuxSandboxSecurityContext.seccomp": "a sandbox runs no program of its own",
    "LinuxSandboxSecurityContext.apparmor": "a sandbox runs no program of its own",
}
"""``Message.field`` → why it needs no attention."""


def check(message: Any, path: str = "") -> None:
    """Raises Invalid for the first refused field that ``message`` sets, at any depth."""
    for field, value in message.ListFields():
        here = f"{path}.{field.name}" if path else field.name
        reason = REFUSED.get(f"{field.containing_type.name}.{field.name}")
        if reason is not None and not _is_empty(field, value):
            raise Invalid(f"{here}: {reason}")
        if field.type != FieldDescriptor.TYPE_MESSAGE or field.message_type.GetOptions().map_entry:
            continue
        if field.is_repeated:
            for index, one in enumerate(value):
                check(one, f"{here}[{index}]")
        else:
            check(value, here)


def _is_empty(field: FieldDescriptor, value: Any) -> bool:
    """Whether it is a message that says nothing, as some clients send them."""
    return field.type == FieldDescriptor.TYPE_MESSAGE and not field.is_repeated and not value.ByteSize()
