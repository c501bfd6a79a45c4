"""Version, Status, RuntimeConfig."""

from __future__ import annotations

import json
from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri


def test_version_says_all_of_itself(runtime: Any) -> None:
    version = runtime.runtime.Version(cri.VersionRequest(version="0.1.0"))
    assert version.version == "0.1.0" and version.runtime_api_version == "v1"
    assert version.runtime_name == runtime.kind and version.runtime_version


def test_runtime_and_network_are_ready(runtime: Any) -> None:
    conditions = {c.type: c.status for c in runtime.runtime.Status(cri.StatusRequest()).status.conditions}
    assert conditions["RuntimeReady"] and conditions["NetworkReady"]


def test_status_has_more_to_say_when_asked(runtime: Any) -> None:
    assert not runtime.runtime.Status(cri.StatusRequest()).info
    info = runtime.runtime.Status(cri.StatusRequest(verbose=True)).info
    assert info and all(json.loads(text) is not None for text in info.values() if text[:1] in "{[")


@pytest.mark.containerd_lacks("runtime handlers are told since containerd 1.7")
def test_handlers_tell_their_features(runtime: Any) -> None:
    handlers = {h.name: h.features for h in runtime.runtime.Status(cri.StatusRequest()).runtime_handlers}
    assert "" in handlers, "the default handler is told under the empty name"


@pytest.mark.containerd_lacks("RuntimeConfig came with containerd 2.0")
def test_the_cgroup_driver_is_told(runtime: Any) -> None:
    answer = runtime.runtime.RuntimeConfig(cri.RuntimeConfigRequest())
    assert answer.linux.cgroup_driver in (cri.CGROUPFS, cri.SYSTEMD)
