"""A cluster that is there goes on with the settings that are given anew, and is not taken for another one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from knarr_cli.cluster import plan as planning
from knarr_cli.cluster.plan import Options, UpError
from knarr_cli.cluster.state import LocalCluster


def made(options: Options) -> LocalCluster:
    cluster = planning.plan(options)
    options.data_dir.mkdir(exist_ok=True)
    cluster.save()
    return cluster


def flags(cluster: LocalCluster, process: str) -> dict[str, str]:
    """The last of each."""
    argv = next(each.argv for each in cluster.processes if each.name == process)
    return {flag: value for flag, value in pairwise(argv) if flag.startswith("--")}


def test_settings_of_a_cluster_can_be_changed_and_the_others_stay(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    made(Options(data_dir=directory, nodes=2, control_plane_flags=("--retention", "60", "--node-grace", "3")))
    options = Options(
        data_dir=directory,
        control_plane_flags=("--retention", "3600", "--metrics-address", "127.0.0.1:8080"),
        agent_flags=("--metrics-address", "127.0.0.1:10255"),
        log_format="json",
    )
    present = planning.existing(options)
    assert present is not None
    changed = planning.with_settings(present, options)

    control_plane = flags(changed, "controlplane")
    assert (control_plane["--retention"], control_plane["--node-grace"]) == ("3600", "3")
    assert control_plane["--metrics-address"] == "127.0.0.1:8080"
    assert flags(changed, "n2-agent")["--metrics-address"] == "127.0.0.1:10255"
    assert flags(changed, "n2-runtime")["--log-format"] == "json"
    assert "--metrics-address" not in flags(changed, "n2-runtime")
    assert planning.with_settings(changed, Options(data_dir=directory)) == changed
    assert planning.with_settings(changed, options) == changed


def test_every_control_plane_has_a_port_of_its_own_for_metrics(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    cluster = made(Options(data_dir=directory, store="etcd", control_planes=2))
    options = Options(data_dir=directory, control_plane_flags=("--metrics-address", "127.0.0.1:8080"))
    changed = planning.with_settings(cluster, options)
    assert flags(changed, "controlplane")["--metrics-address"] == "127.0.0.1:8080"
    assert flags(changed, "controlplane-2")["--metrics-address"] == "127.0.0.1:8081"
    assert flags(changed, "etcd-1") == flags(cluster, "etcd-1")


@pytest.mark.parametrize("store", ["", "sqlite"])
def test_the_store_that_it_has_may_be_named(tmp_path: Path, store: str) -> None:
    directory = tmp_path / "d"
    cluster = made(Options(data_dir=directory))
    assert planning.existing(Options(data_dir=directory, store=store)) == cluster


def test_another_store_or_port_is_refused(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    cluster = made(Options(data_dir=directory))
    with pytest.raises(UpError, match="holds a cluster with --store sqlite, not etcd: leave --store out"):
        planning.existing(Options(data_dir=directory, store="etcd"))
    with pytest.raises(UpError, match=f"whose API is at {cluster.server}: leave --port out"):
        planning.existing(Options(data_dir=directory, port=int(cluster.server.rpartition(":")[2]) + 1))


def test_the_store_it_was_restored_into_is_taken(tmp_path: Path) -> None:
    directory = tmp_path / "d"
    made(Options(data_dir=directory))
    (directory / planning.RESTORED_FILE).write_text('{"store": "etcd"}')
    options = Options(data_dir=directory, store="etcd")
    present = planning.existing(options)
    assert present is not None
    assert flags(planning.with_settings(present, options), "controlplane")["--store"] == "etcd"
