"""Numbers for cgroup files, and finding one's own cgroup in any layout of mounts."""

from __future__ import annotations

import pytest

from knarr_runtime.kernel import cgroup
from knarr_runtime.kernel.cgroup import values
from knarr_runtime.spec import Resources


@pytest.mark.parametrize(("shares", "weight"), [(2, 1), (1024, 39), (262_144, 10_000), (0, 1), (1 << 20, 10_000)])
def test_cpu_weight(shares: int, weight: int) -> None:
    assert values.cpu_weight(shares) == weight


def test_weights_keep_the_order_of_shares() -> None:
    weights = [values.cpu_weight(shares) for shares in range(2, 262_145, 97)]
    assert weights == sorted(weights)
    assert all(1 <= weight <= 10_000 for weight in weights)


@pytest.mark.parametrize(
    ("quota", "period", "text"), [(50_000, 0, "50000 100000"), (1000, 10_000, "1000 10000"), (-1, 0, "max 100000")]
)
def test_cpu_max(quota: int, period: int, text: str) -> None:
    assert values.cpu_max(quota, period) == text


def test_cpu_max_keeps_what_is_not_named() -> None:
    assert values.cpu_max(0, 50_000, "20000 100000") == "20000 50000"
    assert values.cpu_max(30_000, 0, "20000 50000") == "30000 50000"
    assert values.cpu_max(0, 50_000, "max 100000") == "max 50000"


@pytest.mark.parametrize(
    ("limit", "both", "text"), [(100, 150, "50"), (100, 100, "0"), (100, -1, "max"), (-1, -1, "max")]
)
def test_swap_max(limit: int, both: int, text: str) -> None:
    assert values.swap_max(limit, both) == text


@pytest.mark.parametrize(("limit", "both"), [(100, 99), (-1, 100), (0, 100)])
def test_swap_counts_beside_memory_only(limit: int, both: int) -> None:
    with pytest.raises(ValueError, match=str(both)):
        values.swap_max(limit, both)


@pytest.mark.parametrize(
    ("limit", "both", "then"), [(100, 0, 100), (100, 150, 150), (100, -1, -1), (-1, 0, 0), (0, 0, 0)]
)
def test_a_limit_of_memory_is_one_without_swap(limit: int, both: int, then: int) -> None:
    given = Resources(memory_limit_bytes=limit, memory_swap_limit_bytes=both)
    assert values.without_swap(given).memory_swap_limit_bytes == then


@pytest.mark.parametrize(
    ("text", "number"), [("12\n", 12), ("max\n", None), ("9223372036854771712\n", None), (None, None), ("", None)]
)
def test_number(text: str | None, number: int | None) -> None:
    assert values.number(text) == number


def test_flat_keyed_ignores_what_is_no_number() -> None:
    assert values.flat_keyed("oom_kill_disable 0\nunder_oom 0\noom_kill 3\nx y z\n")["oom_kill"] == 3


def test_device_rules() -> None:
    assert values.DeviceRule(kind="c", major=136).v1() == "c 136:* rwm"
    assert values.DeviceRule(kind="b", access="m").v1() == "b *:* m"


V1 = """\
30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:15 - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
"""


def test_mounts_of_a_hybrid_layout() -> None:
    mounts = cgroup.parse_mounts(V1.splitlines())
    assert mounts[""] == ("/sys/fs/cgroup/unified", "/")
    assert mounts["cpu"] == mounts["cpuacct"] == ("/sys/fs/cgroup/cpu,cpuacct", "/")
    assert mounts["memory"] == ("/sys/fs/cgroup/memory", "/docker/abc")


def test_membership() -> None:
    own = cgroup.parse_membership(["4:memory:/a/b\n", "3:cpu,cpuacct:/c\n", "1:name=systemd:/\n", "0::/u:1\n"])
    assert (own["memory"], own["cpu"], own["cpuacct"], own[""]) == ("/a/b", "/c", "/c", "/u:1")
