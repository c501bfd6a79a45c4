"""Whether this machine's cgroups can do what is asked of them."""

from __future__ import annotations

from knarr_runtime.errors import Invalid
from knarr_runtime.kernel.cgroup import delegates_to_namespaces, huge_pages
from knarr_runtime.launcher import Launcher
from knarr_runtime.spec import Resources


def check(limits: Resources, launcher: Launcher) -> None:
    """Raises Invalid for what this machine's cgroups can't do."""
    if limits.unified and launcher.cgroup_version == 1:
        names = ", ".join(limits.unified)
        raise Invalid(f"resources.unified: {names}: files of cgroup v2, and this machine has v1")
    sizes = huge_pages.sizes()
    for size, limit_bytes in limits.huge_pages.items():
        if size not in sizes:
            there = f"only of {' and '.join(sizes)}" if sizes else "none at all"
            raise Invalid(f"resources.hugepage_limits: no pages of {size} on this machine, {there}")
        if limit_bytes and not launcher.limits_huge_pages:
            raise Invalid(f"resources.hugepage_limits: {size}: no hugetlb controller is mounted on this machine")


def check_cgroup_access(access: str, launcher: Launcher) -> None:
    """Raises Invalid for cgroups that a container could not be let write to."""
    if access == "rw" and not (launcher.cgroup_version == 2 and delegates_to_namespaces()):
        reason = "needs cgroup v2, mounted with nsdelegate"
        raise Invalid(f"security_context.cgroup_mount_mode: CGROUP_MOUNT_MODE_WRITABLE {reason}")
