"""Version, Status, RuntimeConfig."""

from __future__ import annotations

import json
from typing import Any

import grpc
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


@pytest.mark.knarr_only
@pytest.mark.parametrize("cidr", ["nonsense", "fd00::/64", "10.1.0.0/31"])
def test_a_pod_cidr_that_cannot_be_is_refused(runtime: Any, cidr: str) -> None:
    config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=cidr))
    request = cri.UpdateRuntimeConfigRequest(runtime_config=config)
    error = runtime.refused(lambda: runtime.runtime.UpdateRuntimeConfig(request))
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT and cidr in error.details()


def test_pod_cidrs_of_both_families_are_taken(runtime: Any) -> None:
    both = f"fd00::/64,{runtime.server.pod_cidr}"
    config = cri.RuntimeConfig(network_config=cri.NetworkConfig(pod_cidr=both))
    runtime.runtime.UpdateRuntimeConfig(cri.UpdateRuntimeConfigRequest(runtime_config=config))
    assert runtime.pod_status(runtime.pod()).network.ip.startswith("10.244.9.")
