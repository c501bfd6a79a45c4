"""What users write to mount something, and other options with a form of their own."""

from __future__ import annotations

import pytest

from knarr_runtime.cli import mounting, parsing
from knarr_runtime.cli.parsing import Volume
from knarr_runtime.cri import standalone
from knarr_runtime.errors import Invalid


def test_mounts_are_read() -> None:
    assert mounting.volume("/data") == Volume(source="", target="/data")
    assert mounting.mount("type=bind,src=/a,dst=/b,ro") == Volume(source="/a", target="/b", readonly=True)
    assert mounting.mount("source=data,target=/b") == Volume(source="data", target="/b")
    assert mounting.mount("type=tmpfs,dst=/t,tmpfs-size=1k,tmpfs-mode=700") == (
        "/t",
        "nosuid,nodev,noexec,size=1024,mode=700",
    )
    assert mounting.tmpfs("/run") == ("/run", "nosuid,nodev,noexec")
    assert mounting.tmpfs("/run:exec,size=1m") == ("/run", "nosuid,nodev,exec,size=1m")


@pytest.mark.parametrize("text", ["", "type=bind,src=a,dst=/b", "type=nfs,src=/a,dst=/b", "src=x", "src=x,dst=/b,so=1"])
def test_what_is_no_mount_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match=r"mount|volume"):
        mounting.mount(text)


def test_limits_and_hosts_are_read() -> None:
    assert parsing.ulimit("nofile=1:2") == ("RLIMIT_NOFILE", 1, 2)
    assert parsing.ulimit("core=-1") == ("RLIMIT_CORE", -1, -1)
    assert parsing.host_entry("db:10.0.0.1") == parsing.host_entry("db=10.0.0.1") == "10.0.0.1\tdb\n"
    assert parsing.host_entry("db:::1") == "::1\tdb\n"
    for text in ("nofile", "nofile=", "nofile=a", "nofile=2:1", "files=1", "nofile=1:2:3"):
        with pytest.raises(Invalid, match="ulimit"):
            parsing.ulimit(text)
    for text in ("db", "db:x", ":10.0.0.1", "a b:10.0.0.1"):
        with pytest.raises(Invalid, match="add-host"):
            parsing.host_entry(text)


def test_restart_policies() -> None:
    policy = standalone.restart_policy("on-failure:2")
    assert str(policy) == "on-failure:2"
    assert policy.wants(1, 0) and policy.wants(1, 1) and not policy.wants(1, 2) and not policy.wants(0, 0)
    assert standalone.restart_policy("always").wants(0, 99) and not standalone.restart_policy("").wants(1, 0)
    for text in ("sometimes", "always:3", "on-failure:x", "on-failure:-1"):
        with pytest.raises(Invalid, match="restart policy"):
            standalone.restart_policy(text)
