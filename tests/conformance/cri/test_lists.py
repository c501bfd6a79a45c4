"""Lists of sandboxes, containers and images: filters, and the same lists as streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from knarr_proto.cri import api_pb2 as cri

STREAMS = pytest.mark.containerd_lacks("streamed lists are of CRI 1.36")


def pods(runtime: Any, **chosen: Any) -> list[str]:
    request = cri.ListPodSandboxRequest(filter=cri.PodSandboxFilter(**chosen))
    return [item.id for item in runtime.runtime.ListPodSandbox(request).items]


def streamed_pods(runtime: Any, **chosen: Any) -> list[str]:
    request = cri.StreamPodSandboxesRequest(filter=cri.PodSandboxFilter(**chosen))
    return [item.id for answer in runtime.runtime.StreamPodSandboxes(request) for item in answer.pod_sandboxes]


def containers(runtime: Any, **chosen: Any) -> list[str]:
    request = cri.ListContainersRequest(filter=cri.ContainerFilter(**chosen))
    return [item.id for item in runtime.runtime.ListContainers(request).containers]


def streamed_containers(runtime: Any, **chosen: Any) -> list[str]:
    request = cri.StreamContainersRequest(filter=cri.ContainerFilter(**chosen))
    return [item.id for answer in runtime.runtime.StreamContainers(request) for item in answer.containers]


EITHER_PODS = pytest.mark.parametrize("list_pods", [pods, pytest.param(streamed_pods, marks=STREAMS)])
EITHER_CONTAINERS = pytest.mark.parametrize(
    "list_containers", [containers, pytest.param(streamed_containers, marks=STREAMS)]
)
List = Callable[..., list[str]]


@EITHER_PODS
def test_sandboxes_by_id_state_and_labels(runtime: Any, list_pods: List) -> None:
    red, blue = runtime.pod(labels={"colour": "red", "size": "1"}), runtime.pod(labels={"colour": "blue", "size": "1"})
    assert {red.id, blue.id} <= set(list_pods(runtime))
    assert list_pods(runtime, id=red.id) == [red.id]
    assert list_pods(runtime, id=red.id[:13]) == [red.id], "ids may be shortened"
    assert list_pods(runtime, id="no-such-sandbox") == []
    assert list_pods(runtime, label_selector={"colour": "red"}) == [red.id]
    assert set(list_pods(runtime, label_selector={"size": "1"})) == {red.id, blue.id}
    assert list_pods(runtime, label_selector={"colour": "red", "size": "2"}) == []
    assert list_pods(runtime, id=red.id, label_selector={"colour": "blue"}) == []
    runtime.stop_pod(blue)
    ready = cri.PodSandboxStateValue(state=cri.SANDBOX_READY)
    over = cri.PodSandboxStateValue(state=cri.SANDBOX_NOTREADY)
    assert list_pods(runtime, state=ready, label_selector={"size": "1"}) == [red.id]
    assert list_pods(runtime, state=over, label_selector={"size": "1"}) == [blue.id]


@EITHER_CONTAINERS
def test_containers_by_id_sandbox_state_and_labels(runtime: Any, list_containers: List) -> None:
    pod, other = runtime.pod(), runtime.pod()
    created = runtime.create(pod, "true", labels={"colour": "red"})
    running = runtime.sleeper(pod, labels={"colour": "blue"})
    elsewhere = runtime.create(other, "true", labels={"colour": "red"})
    assert {created, running, elsewhere} <= set(list_containers(runtime))
    assert list_containers(runtime, id=created) == [created]
    assert list_containers(runtime, id=created[:13]) == [created]
    assert list_containers(runtime, id="no-such-container") == []
    assert set(list_containers(runtime, pod_sandbox_id=pod.id)) == {created, running}
    assert set(list_containers(runtime, pod_sandbox_id=pod.id[:13])) == {created, running}
    assert list_containers(runtime, pod_sandbox_id="no-such-sandbox") == []
    assert set(list_containers(runtime, label_selector={"colour": "red"})) == {created, elsewhere}
    assert list_containers(runtime, pod_sandbox_id=pod.id, label_selector={"colour": "red"}) == [created]
    state = cri.ContainerStateValue(state=cri.CONTAINER_RUNNING)
    assert list_containers(runtime, pod_sandbox_id=pod.id, state=state) == [running]
    state = cri.ContainerStateValue(state=cri.CONTAINER_CREATED)
    assert list_containers(runtime, pod_sandbox_id=pod.id, state=state) == [created]
    runtime.stop(running)
    state = cri.ContainerStateValue(state=cri.CONTAINER_EXITED)
    assert list_containers(runtime, pod_sandbox_id=pod.id, state=state) == [running]


@EITHER_CONTAINERS
def test_what_was_removed_is_not_listed(runtime: Any, list_containers: List) -> None:
    container = runtime.create(runtime.pod(), "true")
    runtime.remove(container)
    assert list_containers(runtime, id=container) == []


@STREAMS
def test_a_stream_of_many_is_whole(runtime: Any) -> None:
    pod = runtime.pod()
    made = {runtime.create(pod, "true", labels={"l": "x" * 2000}) for _ in range(12)}
    assert set(streamed_containers(runtime, pod_sandbox_id=pod.id)) == made


@pytest.mark.parametrize("streamed", [False, pytest.param(True, marks=STREAMS)])
def test_images_are_listed(runtime: Any, streamed: bool) -> None:
    def images(name: str = "") -> list[Any]:
        chosen = cri.ImageFilter(image=cri.ImageSpec(image=name)) if name else cri.ImageFilter()
        if streamed:
            answers = runtime.images.StreamImages(cri.StreamImagesRequest(filter=chosen))
            return [image for answer in answers for image in answer.images]
        return list(runtime.images.ListImages(cri.ListImagesRequest(filter=chosen)).images)

    tags = {tag for image in images() for tag in image.repo_tags}
    assert {runtime.image(f"different:{n}") for n in (1, 2, 3)} <= tags
    found = [image for image in images(runtime.image("different:2")) if runtime.image("different:2") in image.repo_tags]
    assert [list(image.repo_tags) for image in found] == [[runtime.image("different:2")]]


@pytest.mark.containerd_lacks("its ListImages leaves the filter aside")
def test_the_filter_of_images_filters(runtime: Any) -> None:
    for name, count in (("different:2", 1), ("missing:1", 0)):
        chosen = cri.ImageFilter(image=cri.ImageSpec(image=runtime.image(name)))
        assert len(runtime.images.ListImages(cri.ListImagesRequest(filter=chosen)).images) == count


def test_short_ids_name_containers_and_sandboxes(runtime: Any) -> None:
    pod = runtime.pod()
    container = runtime.sleeper(pod)
    assert runtime.status(container[:13]).id == container
    request = cri.PodSandboxStatusRequest(pod_sandbox_id=pod.id[:13])
    assert runtime.runtime.PodSandboxStatus(request).status.id == pod.id
    assert runtime.output(container[:13], "echo", "short") == "short\n"
