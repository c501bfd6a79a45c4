"""Specs survive JSON, and what could escape its directory or cgroup is refused."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from knarr_runtime.errors import Invalid
from knarr_runtime.launcher import signal_number
from knarr_runtime.spec import (
    Capabilities,
    ContainerSpec,
    Device,
    Mount,
    Namespaces,
    Resources,
    Rlimit,
    Rootfs,
    SandboxSpec,
    User,
)

ROOTFS = Rootfs(lower=("/a", "/b"), upper="/u", work="/w")
CONTAINER = ContainerSpec(
    id="c",
    sandbox_id="s",
    args=("a", "b"),
    rootfs=ROOTFS,
    env=("A=1",),
    user=User(uid=1, gid=2, groups=(3,)),
    mounts=(Mount(target="/t", source="/s", readonly=True), Mount(target="/t2", kind="tmpfs", options="size=1m")),
    devices=(Device(source="/dev/x", target="/dev/y"),),
    cgroup="kubepods/p/c",
    resources=Resources(cpu_shares=2, unified={"memory.high": "1"}),
    capabilities=Capabilities(bounding=("CAP_KILL",)),
    rlimits=(Rlimit(name="RLIMIT_NOFILE", soft=1, hard=2),),
    oom_score_adj=-5,
    labels={"k": "v"},
)


def test_container_spec_survives_json() -> None:
    text = json.loads(json.dumps(CONTAINER.to_json()))
    assert ContainerSpec.from_json(text) == CONTAINER
    assert ContainerSpec.from_json({**text, "of_a_later_version": 1}) == CONTAINER


def test_a_sandbox_of_an_earlier_version_refuses_what_it_does_not_know() -> None:
    text = json.loads(json.dumps(CONTAINER.to_json()))
    assert ContainerSpec.from_checked(text) == CONTAINER
    assert ContainerSpec.from_checked({**text, "later": "", "much_later": []}) == CONTAINER
    with pytest.raises(Invalid, match="confined_by: this sandbox, of an earlier version"):
        ContainerSpec.from_checked({**text, "confined_by": "a profile"})
    for mount in text["mounts"]:
        mount["shifted"] = False
    assert ContainerSpec.from_checked(text) == CONTAINER
    text["mounts"][0]["shifted"] = True
    with pytest.raises(Invalid, match="shifted"):
        ContainerSpec.from_checked(text)


def test_a_zygote_of_an_earlier_version_refuses_what_it_does_not_know() -> None:
    spec = SandboxSpec(id="p", namespaces=Namespaces(pid="pod"))
    text = json.loads(json.dumps(spec.to_json()))
    assert SandboxSpec.from_checked({**text, "later": {}}) == spec
    with pytest.raises(Invalid, match="later: the zygote, of an earlier version"):
        SandboxSpec.from_checked({**text, "later": {"a": "b"}})
    with pytest.raises(Invalid, match="much_later"):
        SandboxSpec.from_checked({**text, "namespaces": {**text["namespaces"], "much_later": "pod"}})


def test_what_an_earlier_daemon_does_not_say_has_its_default() -> None:
    text = json.loads(json.dumps(CONTAINER.to_json()))
    del text["tty"], text["mounts"][0]["propagation"]
    assert ContainerSpec.from_checked(text) == CONTAINER


def test_sandbox_spec_survives_json() -> None:
    spec = SandboxSpec(id="p", hostname="h", namespaces=Namespaces(pid="pod"), sysctls={"net.x": "1"})
    assert SandboxSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


@pytest.mark.parametrize(
    "make",
    [
        lambda: SandboxSpec(id="../x"),
        lambda: SandboxSpec(id=""),
        lambda: SandboxSpec(id="a/b"),
        lambda: SandboxSpec(id="a\n"),
        lambda: SandboxSpec(id="p", cgroup_parent="/abs"),
        lambda: SandboxSpec(id="p", cgroup_parent="a/../../b"),
        lambda: SandboxSpec(id="p", hostname="x" * 65),
        lambda: ContainerSpec(id="c", sandbox_id="..", args=("a",), rootfs=ROOTFS),
        lambda: ContainerSpec(id="c", sandbox_id="s", args=(), rootfs=ROOTFS),
        lambda: ContainerSpec(id="c", sandbox_id="s", args=("a\0b",), rootfs=ROOTFS),
        lambda: ContainerSpec(id="c", sandbox_id="s", args=("a",), rootfs=ROOTFS, cgroup="../x"),
        lambda: ContainerSpec(id="c", sandbox_id="s", args=("a",), rootfs=ROOTFS, cwd="relative"),
        lambda: Mount(target="relative", source="/x"),
        lambda: Mount(target="/x", source="relative"),
        lambda: Mount(target="/x", source="/y", propagation="sideways"),
        lambda: Device(source="/dev/x", target="/dev/x", access="rwx"),
        lambda: Rootfs(lower=()),
        lambda: Rootfs(lower=("/a",), upper="/u"),
        lambda: Namespaces(net="bridge"),
    ],
)
def test_invalid_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(Invalid):
        make()


@pytest.mark.parametrize(("name", "number"), [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37)])
def test_signal_numbers(name: str, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize("name", ["SIGNOTHING", "0", "99", "", "SIGTERM+x"])
def test_unknown_signals(name: str) -> None:
    with pytest.raises(Invalid):
        signal_number(name)
