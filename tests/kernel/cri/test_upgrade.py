"""The daemon is upgraded as people do it: another version lies elsewhere, the old daemon dies, the new one starts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import knarr_runtime
from knarr_proto.cri import api_pb2 as cri
from tests.kernel.cri.conftest import Daemon

pytestmark = pytest.mark.root


@pytest.fixture
def other_version(tmp_path: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(knarr_runtime.__path__[0]), tmp_path / "other/knarr_runtime", ignore=ignored)
    with (tmp_path / "other/knarr_runtime/shim/main.py").open("a") as file:
        file.write("# of another version\n")
    return tmp_path / "other"


def _version(daemon: Daemon, record: str) -> str:
    return str(json.loads((daemon.base / "root/state" / record).read_text())["version"])


def test_pods_go_on_through_upgrades_there_and_back(daemon: Daemon, other_version: Path) -> None:
    script = "trap 'echo bye; exit 7' TERM; while :; do sleep 0.05; done"
    old = daemon.sandbox("old")
    container = daemon.container(old, "sh", "-c", script)
    daemon.start_container(container)
    pid, version = daemon.pid(container), _version(daemon, "zygote.json")

    daemon.kill()
    daemon.start(other_version)
    assert daemon.pid(container) == pid
    assert _version(daemon, "zygote.json") != version
    request = cri.ExecSyncRequest(container_id=container, cmd=["echo", "here"], timeout=10)
    assert daemon.runtime.ExecSync(request).stdout == b"here\n"
    new = daemon.sandbox("new")
    assert _version(daemon, f"sandboxes/{old[0]}/shim.json") == version
    assert _version(daemon, f"sandboxes/{new[0]}/shim.json") == _version(daemon, "zygote.json")
    later = daemon.container(old, "sh", "-c", "exit 9", name="later")
    daemon.start_container(later)
    assert daemon.ended(later).exit_code == 9

    daemon.kill()
    daemon.start()
    assert _version(daemon, "zygote.json") == version
    daemon.runtime.StopContainer(cri.StopContainerRequest(container_id=container, timeout=10))
    assert daemon.status(container).exit_code == 7
    log = daemon.base / "logs/old/main/0.log"  # a reader that is being replaced leaves its end to the successor
    daemon.until(lambda: log.read_text().endswith(" stdout F bye\n"), "the last line")
    for sandbox in (old, new):
        daemon.remove(sandbox)
    assert daemon.left() == []
