"""Waiting for a cluster that does not come up ends with words, not with a traceback."""

from __future__ import annotations

import datetime
import time
from pathlib import Path

import pytest

from knarr_cli.cluster import ready
from knarr_cli.cluster.plan import UpError
from knarr_cli.cluster.state import LocalCluster, LocalNode
from knarr_controlplane.pki import kubeconfig
from knarr_controlplane.pki.authority import Authority


def test_a_control_plane_that_does_not_answer_is_named(tmp_path: Path) -> None:
    now = datetime.datetime.now(datetime.UTC)
    authority = Authority.open(tmp_path / "pki", now)
    path = tmp_path / "admin.kubeconfig"
    server = "127.0.0.1:1"
    kubeconfig.write(path, servers=(server,), ca_pem=authority.pem, user="admin", credentials=authority.admin(now))
    node = LocalNode(name="n1", data_dir=str(tmp_path / "n1"), runtime_socket="")
    cluster = LocalCluster(id="x", data_dir=str(tmp_path), server=server, kubeconfig=str(path), nodes=(node,))
    with pytest.raises(UpError, match="no token to join with") as caught:
        ready.give_tokens(cluster, time.monotonic() + 0.3)
    assert "controlplane.log" in str(caught.value)
