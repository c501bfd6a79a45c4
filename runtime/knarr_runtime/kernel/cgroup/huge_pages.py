"""Limits of huge pages, as both versions of cgroups have them, by the kernel's names of sizes: ``2MB``, ``1GB``.

Source: Linux Documentation/admin-guide/cgroup-v1/hugetlb.rst, cgroup-v2.rst "HugeTLB", mm/hugetlbpage.rst.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping

from knarr_runtime.kernel.cgroup.tree import Tree

_SIZES = "/sys/kernel/mm/hugepages"


def sizes() -> tuple[str, ...]:
    """Those of this machine, ascending."""
    try:
        names = os.listdir(_SIZES)
    except FileNotFoundError:
        return ()
    found = sorted(int(name.removeprefix("hugepages-").removesuffix("kB")) for name in names)
    return tuple(_name(kilobytes) for kilobytes in found)


def _name(kilobytes: int) -> str:
    for unit, factor in (("GB", 1 << 20), ("MB", 1 << 10)):
        if kilobytes >= factor:
            return f"{kilobytes // factor}{unit}"
    return f"{kilobytes}KB"


def limit(tree: Tree, path: str, limits: Mapping[str, int], file: str) -> None:
    """Of pages in use and, where the kernel counts these, of pages reserved. ``file``: ``max``, ``limit_in_bytes``."""
    for size, limit_bytes in limits.items():
        tree.write(path, f"hugetlb.{size}.{file}", str(limit_bytes))
        with contextlib.suppress(FileNotFoundError):  # before Linux 5.7
            tree.write(path, f"hugetlb.{size}.rsvd.{file}", str(limit_bytes))
