"""Pods from their assignment to their end."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

from knarr_api.types.core_v1 import (
    ConfigMap,
    ConfigMapEnvSource,
    Container,
    EnvFromSource,
    ExecAction,
    Lifecycle,
    LifecycleHandler,
    Pod,
    PodSpec,
)
from knarr_api.types.meta_v1 import ObjectMeta
from knarr_node_agent.memory_cri import Program

OnNode = Callable[[Callable[[Any], Any]], None]
Make = Callable[..., Container]


def test_assigned_pod_runs_and_is_ready(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            took_s = await node.until_ready()
            pod = await node.pod()
            assert took_s < 0.2
            assert node.cri.running() == ["web/main"]
            assert pod.status.phase == "Running"
            assert pod.status.pod_ip.startswith("10.244.0.")
            assert pod.status.host_ip == "192.0.2.1"
            assert pod.status.container_statuses[0].container_id.startswith("knarr://")
            assert pod.status.container_statuses[0].restart_count == 0
            types = {condition.type for condition in pod.status.conditions}
            assert types >= {"Initialized", "Ready", "ContainersReady", "PodReadyToStartContainers"}

    on_node(scenario)


def test_killed_container_runs_again_at_once_and_then_after_ten_seconds(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            killed_at_s = node.clock.monotonic()
            node.cri.end("web/main", 137)
            again_s = await node.until(lambda: node.cri.running() == ["web/main"])
            assert again_s - killed_at_s <= 0.1
            await node.clock.sleep(1)
            status = await node.container()
            assert status.restart_count == 1
            assert status.last_state.terminated.exit_code == 137
            killed_at_s = node.clock.monotonic()
            node.cri.end("web/main", 1)
            await node.clock.sleep(1)
            status = await node.container()
            assert status.state.waiting.reason == "CrashLoopBackOff"
            assert status.last_state.terminated.exit_code == 1
            again_s = await node.until(lambda: node.cri.running() == ["web/main"], 20)
            assert 9.9 <= again_s - killed_at_s <= 10.2

    on_node(scenario)


def test_crash_loop_waits_as_kubernetes_does(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["main"] = Program(runs_s=1.0, exit_code=3)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            starts: list[float] = []
            count = 0
            while count < 9:
                await node.until(lambda n=count: _attempts(node) > n, 400)
                starts.append(node.clock.monotonic())
                count = _attempts(node)
            gaps = [round(b - a - 1.0) for a, b in itertools.pairwise(starts)]
            assert gaps == [0, 10, 20, 40, 80, 160, 300, 300]

    on_node(scenario)


def _attempts(node: Any) -> int:
    return max((c.config.metadata.attempt + 1 for c in node.cri.containers.values()), default=0)


def test_long_run_forgets_the_back_off(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            for _ in range(2):
                node.cri.end("web/main", 1)
                await node.until(lambda: node.cri.running() == ["web/main"], 20)
            await node.clock.sleep(601)
            ended_at_s = node.clock.monotonic()
            node.cri.end("web/main", 1)
            again_s = await node.until(lambda: node.cri.running() == ["web/main"], 20)
            assert again_s - ended_at_s <= 0.1

    on_node(scenario)


def test_init_containers_run_one_after_the_other_before_the_containers(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["first"] = Program(runs_s=2.0)
        node.cri.programs["second"] = Program(runs_s=2.0)
        spec = PodSpec(init_containers=(a_container("first"), a_container("second")), containers=(a_container(),))
        async with node.agent():
            await node.create(spec)
            await node.clock.sleep(1)
            assert node.cri.running() == ["web/first"]
            assert (await node.container()).state.waiting.reason == "PodInitializing"
            assert (await node.pod()).status.phase == "Pending"
            await node.clock.sleep(2)
            assert node.cri.running() == ["web/second"]
            await node.clock.sleep(2)
            assert node.cri.running() == ["web/main"]
            assert await node.condition("Initialized") == "True"
            assert (await node.container("first")).state.terminated.reason == "Completed"

    on_node(scenario)


def test_sidecar_runs_beside_and_ends_last(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["main"] = Program(runs_s=3.0)
        sidecar = a_container("proxy", restart_policy="Always")
        async with node.agent():
            await node.create(PodSpec(init_containers=(sidecar,), containers=(a_container(),), restart_policy="Never"))
            await node.clock.sleep(1)
            assert node.cri.running() == ["web/main", "web/proxy"]
            await node.until_phase("Succeeded")
            assert node.cri.running() == []

    on_node(scenario)


def test_restart_policies(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        cases = [("Never", 0, "Succeeded"), ("Never", 4, "Failed"), ("OnFailure", 0, "Succeeded")]
        async with node.agent():
            for number, (policy, code, phase) in enumerate(cases):
                node.cri.programs[f"c{number}"] = Program(runs_s=1.0, exit_code=code)
                spec = PodSpec(containers=(a_container(f"c{number}"),), restart_policy=policy)
                await node.create(spec, f"p{number}")
                await node.until_phase(phase, f"p{number}")
                await node.clock.sleep(30)
                status = await node.container(f"c{number}", f"p{number}")
                assert status.restart_count == 0
                assert status.state.terminated.exit_code == code
            node.cri.programs["again"] = Program(runs_s=1.0, exit_code=1)
            await node.create(PodSpec(containers=(a_container("again"),), restart_policy="OnFailure"), "p9")
            await node.clock.sleep(3)
            assert (await node.container("again", "p9")).restart_count == 1

    on_node(scenario)


def test_failed_init_container_ends_a_pod_that_must_not_restart(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["init"] = Program(runs_s=1.0, exit_code=2)
        spec = PodSpec(init_containers=(a_container("init"),), containers=(a_container(),), restart_policy="Never")
        async with node.agent():
            await node.create(spec)
            await node.until_phase("Failed")
            assert [c.config.metadata.name for c in node.cri.containers.values()] == ["init"]

    on_node(scenario)


def test_deleted_pod_gets_hook_and_signal_and_is_gone(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["main"] = Program(stops_after_s=3.0, stop_code=0)
        hook = Lifecycle(pre_stop=LifecycleHandler(exec_=ExecAction(command=("drain",))))
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(lifecycle=hook),)))
            await node.until_ready()
            began_s = node.clock.monotonic()
            await node.admin.delete(Pod, "web", "default", grace_period_s=20)
            await node.clock.sleep(1)
            assert node.cri.running() == ["web/main"]
            gone_s = await node.until_gone(within_s=30)
            assert 2.9 <= gone_s - began_s <= 3.6
            assert node.cri.executed == [("drain",)]
            assert not node.cri.sandboxes
            last = [report for report in node.reports if report.terminated][-1].status
            assert last.container_statuses[0].state.terminated.exit_code == 0
            assert last.phase == "Succeeded"
            await node.clock.sleep(1)
            assert not list((node.directory / "pods").iterdir())
            assert "Killing" in await node.events()

    on_node(scenario)


def test_container_that_ignores_its_signal_is_killed_after_the_grace(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["main"] = Program(stops_after_s=None)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            began_s = node.clock.monotonic()
            await node.admin.delete(Pod, "web", "default", grace_period_s=7)
            gone_s = await node.until_gone(within_s=30)
            assert 6.9 <= gone_s - began_s <= 7.6

    on_node(scenario)


def test_grace_can_be_shortened_while_it_runs(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["main"] = Program(stops_after_s=None)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.until_ready()
            await node.admin.delete(Pod, "web", "default", grace_period_s=300)
            await node.clock.sleep(2)
            began_s = node.clock.monotonic()
            await node.admin.delete(Pod, "web", "default", grace_period_s=1)
            assert await node.until_gone(within_s=30) - began_s <= 1.6

    on_node(scenario)


def test_deadline_ends_the_pod(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),), active_deadline_seconds=5))
            await node.until_ready()
            at_s = await node.until_phase("Failed", within_s=10)
            assert 4.9 <= at_s <= 6.5
            pod = await node.pod()
            assert pod.status.reason == "DeadlineExceeded"
            assert node.cri.running() == []
            await node.clock.sleep(60)
            assert node.cri.running() == []

    on_node(scenario)


def test_missing_config_map_is_said_and_waited_for(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        source = EnvFromSource(config_map_ref=ConfigMapEnvSource(name="settings"))
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(env_from=(source,)),)))
            await node.clock.sleep(2)
            waiting = (await node.container()).state.waiting
            assert waiting.reason == "CreateContainerConfigError"
            assert 'configmap "settings" not found' in waiting.message
            await node.admin.create(
                ConfigMap(metadata=ObjectMeta(name="settings", namespace="default"), data={"COLOUR": "blue"})
            )
            await node.until_ready(within_s=30)
            envs = {e.key: e.value.decode() for e in node.cri.find("web/main").config.envs}
            assert envs["COLOUR"] == "blue"

    on_node(scenario)


def test_a_directory_for_logs_that_cannot_be_made_is_said_and_tried_again(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        logs = node.directory / "logs"
        logs.touch()
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))

            async def told() -> bool:
                return "FailedCreatePodSandBox" in await node.events()

            await node.until(told, within_s=10)
            assert (await node.container()).state.waiting.reason == "ContainerCreating"
            logs.unlink()
            await node.clock.sleep(60)
            await node.until_ready()

    on_node(scenario)


def test_images_that_are_not_there(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(image="nowhere"),)), "a")
            await node.create(PodSpec(containers=(a_container(image="absent", image_pull_policy="Never"),)), "b")
            await node.create(PodSpec(containers=(a_container(image="No Name"),)), "c")
            await node.clock.sleep(1)
            assert (await node.container(name="a")).state.waiting.reason == "ErrImagePull"
            assert (await node.container(name="b")).state.waiting.reason == "ErrImageNeverPull"
            assert (await node.container(name="c")).state.waiting.reason == "InvalidImageName"
            await node.clock.sleep(10)
            assert (await node.container(name="a")).state.waiting.reason == "ImagePullBackOff"
            node.cri.pullable.add("nowhere")
            await node.until_ready("a", 60)

    on_node(scenario)


def test_one_pull_serves_all_who_wait(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.pullable.add("slow")
        node.cri.pull_s = 200.0
        async with node.agent():
            for name in ("a", "b", "c"):
                await node.create(PodSpec(containers=(a_container(image="slow"),)), name)
            await node.clock.sleep(100)
            assert (await node.container(name="a")).state.waiting.reason == "ContainerCreating"
            for name in ("a", "b", "c"):
                await node.until_ready(name, 150)
            assert node.cri.pulls == ["slow"]

    on_node(scenario)


def test_program_that_cannot_start_is_said(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        text = 'exec: "foo": executable file not found in $PATH'
        node.cri.programs["main"] = Program(start_error=text)
        async with node.agent():
            await node.create(PodSpec(containers=(a_container(),)))
            await node.clock.sleep(1)
            waiting = (await node.container()).state.waiting
            assert waiting.reason == "RunContainerError"
            assert text in waiting.message

    on_node(scenario)


def test_dead_sandbox_is_replaced_and_init_containers_run_again(on_node: OnNode, a_container: Make) -> None:
    async def scenario(node: Any) -> None:
        node.cri.programs["init"] = Program(runs_s=0.5)
        async with node.agent():
            await node.create(PodSpec(init_containers=(a_container("init"),), containers=(a_container(),)))
            await node.until_ready()
            first = next(iter(node.cri.sandboxes.values()))
            first.ready = False
            for container in list(node.cri.containers.values()):
                node.cri.finish(container, 137)
            await node.until(lambda: node.cri.running() == ["web/main"], 10)
            await node.until_ready()
            assert (await node.container("init")).restart_count == 1
            assert (await node.container("main")).restart_count == 1
            assert sum(sandbox.ready for sandbox in node.cri.sandboxes.values()) == 1

    on_node(scenario)
