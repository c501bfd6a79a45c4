"""Images: pulled by tag and digest from a registry beside the runtime, told, listed, removed."""

from __future__ import annotations

import concurrent.futures
import json
import re
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri

pytestmark = pytest.mark.knarr_lacks("pulling from registries")
ID = re.compile(r"sha256:[0-9a-f]{64}")


class Images:
    """Images of a runtime that can pull."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self.client = runtime.images

    def pull(self, name: str, **more: Any) -> str:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=name), **more)
        return str(self.client.PullImage(request, timeout=60).image_ref)

    def status(self, name: str, verbose: bool = False) -> Any:
        return self.client.ImageStatus(cri.ImageStatusRequest(image=cri.ImageSpec(image=name), verbose=verbose))

    def remove(self, name: str) -> None:
        self.client.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=name)), timeout=60)

    def gone(self, name: str) -> None:
        """Removed with all its names, so that a pull has something to do."""
        while identifier := self.status(name).image.id:
            self.remove(identifier)

    def tags(self) -> list[str]:
        return [tag for image in self.client.ListImages(cri.ListImagesRequest()).images for tag in image.repo_tags]

    def used_bytes(self) -> int:
        (usage, *_) = self.client.ImageFsInfo(cri.ImageFsInfoRequest()).image_filesystems
        return int(usage.used_bytes.value)


@pytest.fixture
def images(runtime: Any, registry: Any) -> Images:
    return Images(runtime)


def test_an_image_is_pulled_by_tag(images: Images) -> None:
    name = images.runtime.image("different:1")
    images.gone(name)
    assert not images.status(name).HasField("image") and name not in images.tags()
    reference = images.pull(name)
    image = images.status(name).image
    assert ID.fullmatch(image.id) and reference == image.id
    assert list(image.repo_tags) == [name] and image.size > 0
    assert name in images.tags()


def test_a_name_without_tag_is_the_latest(images: Images) -> None:
    name = images.runtime.image("busybox")
    images.gone(f"{name}:latest")
    reference = images.pull(name)
    assert images.status(f"{name}:latest").image.id == reference
    images.gone(name)
    for tag in ("1", "same", "latest"):
        images.pull(f"{name}:{tag}")


def test_an_image_is_pulled_by_digest(images: Images) -> None:
    name = images.runtime.image("different:2")
    images.gone(name)
    images.pull(name)
    (digested,) = images.status(name).image.repo_digests
    repository, _, digest = digested.partition("@")
    assert repository == images.runtime.image("different") and ID.fullmatch(digest)
    images.gone(name)
    reference = images.pull(digested)
    image = images.status(digested).image
    assert image.id == reference and list(image.repo_digests) == [digested] and not image.repo_tags
    images.gone(digested)
    images.pull(name)


def test_a_container_runs_from_a_digest(images: Images) -> None:
    runtime = images.runtime
    (digested,) = images.status(images.pull(runtime.image("different:2"))).image.repo_digests
    container = runtime.started(runtime.pod(), "cat", "/which", image=cri.ImageSpec(image=digested))
    runtime.ended(container)
    assert runtime.log(container)[0][2] == "2"
    assert runtime.status(container).image_ref in (digested, images.status(digested).image.id)


@pytest.mark.parametrize("name", ["missing:1", "different:missing", "different@sha256:" + "0" * 64])
def test_what_the_registry_does_not_have_is_not_found(images: Images, name: str) -> None:
    error = images.runtime.refused(lambda: images.pull(images.runtime.image(name)))
    assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN)
    assert name.partition(":")[0].partition("@")[0] in error.details()


def test_a_name_that_is_none_is_refused(images: Images) -> None:
    images.runtime.refused(lambda: images.pull("UPPER CASE"))


def test_a_registry_that_is_not_there_is_named(images: Images) -> None:
    error = images.runtime.refused(lambda: images.pull("127.0.0.1:5999/no/registry:1"))
    assert "127.0.0.1:5999" in error.details()


def test_pulling_again_is_fine(images: Images) -> None:
    name = images.runtime.image("different:3")
    assert images.pull(name) == images.pull(name)


def test_one_image_has_several_names(images: Images) -> None:
    names = [images.runtime.image(f"busybox:{tag}") for tag in ("1", "same")]
    first, second = (images.pull(name) for name in names)
    assert first == second
    assert set(names) <= set(images.status(first).image.repo_tags)


def test_different_images_are_listed_apart(images: Images) -> None:
    names = [images.runtime.image(f"different:{number}") for number in (1, 2, 3)]
    identifiers = {images.pull(name) for name in names}
    assert len(identifiers) == 3
    assert [images.tags().count(name) for name in names] == [1, 1, 1]


def test_an_image_is_named_by_its_id(images: Images) -> None:
    identifier = images.pull(images.runtime.image("different:1"))
    for reference in (identifier, identifier.removeprefix("sha256:"), identifier.removeprefix("sha256:")[:13]):
        assert images.status(reference).image.id == identifier


@pytest.mark.parametrize(
    ("name", "uid", "username"),
    [
        ("user:number", 1002, ""),
        ("user:number-group", 1003, ""),
        ("user:name", None, "www-data"),
        ("user:name-group", None, "www-data"),
        ("different:1", None, ""),
    ],
)
def test_the_images_user_is_told(images: Images, name: str, uid: int | None, username: str) -> None:
    image = images.status(images.pull(images.runtime.image(name))).image
    if uid is None:
        assert not image.uid.value and image.username == username
    else:
        assert image.uid.value == uid and not image.username


def test_verbose_status_tells_the_configuration(images: Images) -> None:
    name = images.runtime.image("entry:1")
    images.pull(name)
    info = json.loads(images.status(name, verbose=True).info["info"])
    configuration = info["imageSpec"]["config"]
    assert configuration["Entrypoint"] == ["/bin/echo", "entry"] and configuration["WorkingDir"] == "/work/here"
    assert not images.status(name).info


def test_a_removed_image_is_gone_at_once(images: Images) -> None:
    name = images.runtime.image("different:3")
    images.pull(name)
    images.gone(name)
    assert name not in images.tags() and not images.status(name).HasField("image")
    images.remove(name)
    images.pull(name)


def test_many_remove_one_image_at_once(images: Images) -> None:
    name = images.runtime.image("different:3")
    identifier = images.pull(name)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(images.remove, [identifier] * 5))
    assert not images.status(identifier).HasField("image")
    images.pull(name)


def test_many_pull_one_image_at_once(images: Images) -> None:
    name = images.runtime.image("different:3")
    images.gone(name)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        references = list(pool.map(images.pull, [name] * 5))
    assert len(set(references)) == 1 and images.tags().count(name) == 1


def test_a_container_whose_image_lost_its_name_goes_on(images: Images) -> None:
    runtime = images.runtime
    name = runtime.image("different:3")
    images.pull(name)
    container = runtime.sleeper(runtime.pod(), image="different:3")
    if runtime.kind == "containerd":
        images.remove(name)
    else:
        runtime.refused(lambda: images.remove(name))
    assert runtime.output(container, "cat", "/which") == "3"
    runtime.remove(container)
    images.pull(name)


def test_the_images_filesystem_is_told(images: Images) -> None:
    (usage, *_) = images.client.ImageFsInfo(cri.ImageFsInfoRequest()).image_filesystems
    assert usage.timestamp and usage.fs_id.mountpoint.startswith("/")
    images.pull(images.runtime.image("different:1"))
    images.runtime.until(lambda: images.used_bytes() > 0, "the images' bytes to be counted")


@pytest.mark.containerd_lacks("it tells the snapshotter's filesystem only")
def test_the_containers_filesystem_is_told(images: Images) -> None:
    answer = images.client.ImageFsInfo(cri.ImageFsInfoRequest())
    assert answer.container_filesystems and answer.container_filesystems[0].fs_id.mountpoint
