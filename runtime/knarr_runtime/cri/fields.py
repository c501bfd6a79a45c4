"""What of CRI's requests is not honoured: refused when it is set, or of no meaning here. All other fields are honoured.

A request that sets a refused field is answered INVALID_ARGUMENT with the field's path; nothing is dropped in silence.
``tests/unit/knarr_runtime/cri/test_fields.py`` holds every field of every request against these tables.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor

from knarr_runtime.errors import Invalid

_WINDOWS = "this is a runtime for Linux containers"

REFUSED: dict[str, str] = {
    "PodSandboxConfig.windows": _WINDOWS,
    "ContainerConfig.windows": _WINDOWS,
    "UpdateContainerResourcesRequest.windows": _WINDOWS,
    "Mount.mount_options": "only readonly, recursive_read_only and propagation can be chosen",
}
"""``Message.field`` → why; refused when it is set to something."""

IGNORED: dict[str, str] = {
    "VersionRequest.version": "the kubelet sends its own; there is one version of the API",
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


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    is_message: bool
    is_repeated: bool
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """Of one kind of message: its refused fields, and those in which there may be some deeper down."""

    refused: tuple[_Field, ...]
    deeper: tuple[_Field, ...]


def check(message: Any, path: str = "") -> None:
    """Raises Invalid for a refused field that ``message`` sets, at any depth."""
    plan = _plan(message.DESCRIPTOR)
    for field in plan.refused:
        if _is_set(message, field):
            raise Invalid(f"{_join(path, field.name)}: {field.reason}")
    for field in plan.deeper:
        if field.is_repeated:
            for index, one in enumerate(getattr(message, field.name)):
                check(one, f"{_join(path, field.name)}[{index}]")
        elif message.HasField(field.name):
            check(getattr(message, field.name), _join(path, field.name))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _is_set(message: Any, field: _Field) -> bool:
    """A message that says nothing, as some clients send them, counts as not set."""
    if field.is_repeated or not field.is_message:
        return bool(getattr(message, field.name))
    return bool(message.HasField(field.name) and getattr(message, field.name).ByteSize())


@functools.cache
def _plan(descriptor: Descriptor) -> _Plan:
    refused: list[_Field] = []
    deeper: list[_Field] = []
    for field in descriptor.fields:
        reason = REFUSED.get(f"{descriptor.name}.{field.name}", "")
        found = _Field(field.name, field.message_type is not None, field.is_repeated, reason)
        if reason:
            refused.append(found)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            inner = _plan(field.message_type)
            if inner.refused or inner.deeper:
                deeper.append(found)
    return _Plan(tuple(refused), tuple(deeper))
