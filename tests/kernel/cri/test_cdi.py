"""Devices by name, in containers: nodes, mounts, variables and groups as vendors' files describe them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri


@pytest.fixture
def cdi_daemon(daemon: Any) -> Iterator[Any]:
    """A daemon that reads its own directory of descriptions."""
    directory = daemon.base / "cdi"
    directory.mkdir()
    (daemon.base / "driver").write_text("driver\n")
    node = {"path": "/dev/accelerator0", "hostPath": "/dev/loop-control", "permissions": "rw", "fileMode": 0o640}
    full = {
        "env": ["ACCELERATOR=0"],
        "deviceNodes": [{**node, "gid": 4444}, {"path": "/dev/sub/full", "hostPath": "/dev/full"}],
        "mounts": [
            {"hostPath": str(daemon.base / "driver"), "containerPath": "/usr/lib/driver", "options": ["ro", "noexec"]}
        ],
        "additionalGids": [4444],
    }
    hooks = {"hooks": [{"hookName": "createContainer", "path": "/usr/bin/vendor-hook"}]}
    spec = {
        "cdiVersion": "0.7.0",
        "kind": "vendor.com/accelerator",
        "devices": [{"name": "0", "containerEdits": full}, {"name": "hooked", "containerEdits": hooks}],
        "containerEdits": {"env": ["VENDOR=yes"]},
    }
    (directory / "vendor.json").write_text(json.dumps(spec))
    daemon.kill()
    daemon.arguments += ["--cdi-spec-dir", str(directory)]
    daemon.start()
    yield daemon


SEES = (
    "echo $ACCELERATOR $VENDOR; stat -c '%a %g %t:%T' /dev/accelerator0; cat /usr/lib/driver; id -G; "
    "grep -o '/usr/lib/driver ro,[a-z,]*' /proc/self/mountinfo; "
    ": < /dev/accelerator0 && echo opened; echo > /dev/sub/full || echo full; echo > /usr/lib/driver || echo kept"
)


@pytest.mark.parametrize(
    "given",
    [
        {"CDI_devices": [cri.CDIDevice(name="vendor.com/accelerator=0")]},
        {"annotations": {"cdi.k8s.io/plugin": "vendor.com/accelerator=0"}},
    ],
)
def test_a_container_gets_what_its_device_consists_of(cdi_daemon: Any, given: dict[str, Any]) -> None:
    sandbox = cdi_daemon.sandbox("a")
    identifier = cdi_daemon.container(sandbox, "sh", "-c", SEES, **given)
    cdi_daemon.kill()
    cdi_daemon.start()
    cdi_daemon.start_container(identifier)
    cdi_daemon.ended(identifier)
    log = (Path(sandbox[1].log_directory) / "main/0.log").read_text().splitlines()
    lines = [line.split(" ", 3)[3] for line in log if " stdout " in line]
    assert lines[:3] == ["0 yes", "640 4444 a:ed", "driver"]
    assert "4444" in lines[3].split()
    assert lines[4].startswith("/usr/lib/driver ro,noexec")
    assert lines[5:] == ["opened", "full", "kept"]


def test_what_is_not_there_or_not_done_is_refused_and_leaves_nothing(cdi_daemon: Any) -> None:
    sandbox = cdi_daemon.sandbox("a")
    for name, message in (
        ("vendor.com/accelerator=9", "unresolvable CDI devices vendor.com/accelerator=9"),
        ("vendor.com/accelerator=hooked", "hooks are not supported: /usr/bin/vendor-hook would not be run"),
        ("accelerator", 'CDI device "accelerator" must be written as VENDOR/CLASS=NAME'),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            cdi_daemon.container(sandbox, "true", CDI_devices=[cri.CDIDevice(name=name)])
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert message in caught.value.details()
    assert not cdi_daemon.runtime.ListContainers(cri.ListContainersRequest()).containers
