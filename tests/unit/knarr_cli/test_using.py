"""Rows of ``knarr top``."""

from __future__ import annotations

from knarr_cli.commands.using import node_rows, pod_rows


def node(name):
    return {"metadata": {"name": name}, "status": {"allocatable": {"cpu": "4", "memory": "8Gi"}}}


def metrics(name, cpu, memory):
    return {"metadata": {"name": name}, "usage": {"cpu": cpu, "memory": memory}}


def pod(name, *containers):
    inner = [{"name": container, "usage": {"cpu": cpu, "memory": memory}} for container, cpu, memory in containers]
    return {"metadata": {"name": name, "namespace": "d"}, "containers": inner}


def test_nodes_show_their_share_and_those_without_figures_come_last():
    nodes = [node("a"), node("b"), node("c")]
    used = [metrics("b", "1500000000n", "2Gi"), metrics("c", "100m", "4Gi")]
    assert node_rows(nodes, used, "") == [
        ["b", "1500m", "37%", "2048Mi", "25%"],
        ["c", "100m", "2%", "4096Mi", "50%"],
        ["a", "<unknown>", "<unknown>", "<unknown>", "<unknown>"],
    ]
    assert [row[0] for row in node_rows(nodes, used, "memory")] == ["c", "b", "a"]


def test_pods_sum_their_containers():
    pods = [pod("x", ("one", "10m", "1Mi"), ("two", "1m", "30Mi")), pod("y", ("one", "20m", "2Mi"))]
    assert pod_rows(pods, "", containers=False, namespaces=False) == [["x", "11m", "31Mi"], ["y", "20m", "2Mi"]]
    assert pod_rows(pods, "cpu", containers=False, namespaces=True)[0] == ["d", "y", "20m", "2Mi"]
    assert pod_rows(pods[:1], "memory", containers=True, namespaces=False) == [
        ["x", "two", "1m", "30Mi"],
        ["x", "one", "10m", "1Mi"],
    ]
