"""Tokens in pods' volumes: there when the container starts, renewed in time, kept while the control plane is away."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from knarr_api import json
from knarr_api.types.core_v1 import Pod, PodSpec

LASTS_S = 1000
OnNode = Callable[[Callable[[Any], Any]], None]


def with_token() -> PodSpec:
    source = {"serviceAccountToken": {"path": "token", "audience": "vault", "expirationSeconds": LASTS_S}}
    document = {
        "serviceAccountName": "robot",
        "containers": [{"name": "main", "image": "busybox", "volumeMounts": [{"name": "t", "mountPath": "/t"}]}],
        "volumes": [{"name": "t", "projected": {"sources": [source]}}],
    }
    return json.from_builtins(document, PodSpec)


def token(node: Any) -> str:
    (found,) = node.directory.glob("secrets/*/volumes/t/token")
    return str(found.read_text())


def test_a_token_is_there_when_the_container_starts_and_is_renewed_at_four_fifths(on_node: OnNode) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(with_token())
            await node.until_ready()
            assert token(node) == "robot/web/vault/1"
            await node.clock.until(0.7 * LASTS_S)
            assert token(node) == "robot/web/vault/1"
            await node.clock.until(0.95 * LASTS_S)
            assert token(node) == "robot/web/vault/2"

    on_node(scenario)


def test_without_a_token_it_does_not_start_and_with_one_it_does(on_node: OnNode) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(with_token())
            node.may_give_tokens = False
            await node.clock.sleep(5)
            assert node.cri.running() == []
            assert "FailedMount" in await node.events()
            node.may_give_tokens = True
            await node.until_ready(within_s=120)

    on_node(scenario)


def test_containers_start_again_while_the_control_plane_is_away_also_after_the_agent(on_node: OnNode) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(with_token())
            await node.until_ready()
        node.link.connected = False
        async with node.agent():
            await node.clock.sleep(2 * LASTS_S)
            before = node.cri.find("web/main").id
            node.cri.end("web/main", 1)
            await node.until(lambda: bool(node.cri.running()) and node.cri.find("web/main").id != before, within_s=60)
            assert token(node) == "robot/web/vault/1"

    on_node(scenario)


def test_what_was_kept_of_a_pod_goes_with_it(on_node: OnNode) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            made = await node.create(with_token())
            await node.until_ready()
            await node.admin.delete(Pod, "web", "default", grace_period_s=0, uid=made.metadata.uid)
            await node.until_gone(within_s=60)
            await node.clock.sleep(60)
            assert list(node.directory.glob("secrets/*")) == []

    on_node(scenario)
