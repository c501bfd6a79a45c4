"""Images: pulled by tag and digest from a registry beside the runtime, told, listed, removed."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import platform
import re
from typing import Any

import grpc
import pytest

from knarr_proto.cri import api_pb2 as cri
from tests.slowness import patient

ID = re.compile(r"sha256:[0-9a-f]{64}")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"


class Images:
    """Images of a runtime that can pull."""

    def __init__(self, runtime: Any) -> None:
        self.runtime = runtime
        self.client = runtime.images

    def pull(self, name: str, **more: Any) -> str:
        request = cri.PullImageRequest(image=cri.ImageSpec(image=name), **more)
        return str(self.client.PullImage(request, timeout=patient(60)).image_ref)

    def present(self, name: str) -> str:
        """The id of an image that was there from the beginning."""
        return str(self.status(name).image.id)

    def status(self, name: str, verbose: bool = False) -> Any:
        return self.client.ImageStatus(cri.ImageStatusRequest(image=cri.ImageSpec(image=name), verbose=verbose))

    def remove(self, name: str) -> None:
        self.client.RemoveImage(cri.RemoveImageRequest(image=cri.ImageSpec(image=name)), timeout=patient(60))

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
def images(runtime: Any) -> Images:
    return Images(runtime)


@pytest.fixture
def pulling(images: Images, registry: Any) -> Images:
    """With a registry that has all of them."""
    return images


def test_an_image_is_pulled_by_tag(pulling: Images) -> None:
    name = pulling.runtime.image("different:1")
    pulling.gone(name)
    assert not pulling.status(name).HasField("image") and name not in pulling.tags()
    reference = pulling.pull(name)
    image = pulling.status(name).image
    assert ID.fullmatch(image.id) and reference == image.id
    assert list(image.repo_tags) == [name] and image.size > 0
    assert name in pulling.tags()


def test_a_name_without_tag_is_the_latest(pulling: Images) -> None:
    name = pulling.runtime.image("busybox")
    pulling.gone(f"{name}:latest")
    reference = pulling.pull(name)
    assert pulling.status(f"{name}:latest").image.id == reference
    pulling.gone(name)
    for tag in ("1", "same", "latest"):
        pulling.pull(f"{name}:{tag}")


def test_an_image_is_pulled_by_digest(pulling: Images) -> None:
    name = pulling.runtime.image("different:2")
    pulling.gone(name)
    pulling.pull(name)
    (digested,) = pulling.status(name).image.repo_digests
    repository, _, digest = digested.partition("@")
    assert repository == pulling.runtime.image("different") and ID.fullmatch(digest)
    pulling.gone(name)
    reference = pulling.pull(digested)
    image = pulling.status(digested).image
    assert image.id == reference and list(image.repo_digests) == [digested] and not image.repo_tags
    pulling.gone(digested)
    pulling.pull(name)


def test_a_container_runs_from_a_digest(pulling: Images) -> None:
    runtime = pulling.runtime
    (digested,) = pulling.status(pulling.pull(runtime.image("different:2"))).image.repo_digests
    container = runtime.started(runtime.pod(), "cat", "/which", image=cri.ImageSpec(image=digested))
    runtime.ended(container)
    assert runtime.log(container)[0][2] == "2"
    assert runtime.status(container).image_ref in (digested, pulling.status(digested).image.id)


@pytest.mark.parametrize("name", ["missing:1", "different:missing", "different@sha256:" + "0" * 64])
def test_what_the_registry_does_not_have_is_not_found(pulling: Images, name: str) -> None:
    error = pulling.runtime.refused(lambda: pulling.pull(pulling.runtime.image(name)))
    assert error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.UNKNOWN)
    assert name.partition(":")[0].partition("@")[0] in error.details()


def test_a_name_that_is_none_is_refused(pulling: Images) -> None:
    pulling.runtime.refused(lambda: pulling.pull("UPPER CASE"))


def test_a_registry_that_is_not_there_is_named(pulling: Images) -> None:
    error = pulling.runtime.refused(lambda: pulling.pull("127.0.0.1:5999/no/registry:1"))
    assert "127.0.0.1:5999" in error.details()


def test_pulling_again_is_fine(pulling: Images) -> None:
    name = pulling.runtime.image("different:3")
    assert pulling.pull(name) == pulling.pull(name)


def test_one_image_has_several_names(images: Images) -> None:
    names = [images.runtime.image(f"busybox:{tag}") for tag in ("1", "same")]
    first, second = (images.present(name) for name in names)
    assert first == second
    assert set(names) <= set(images.status(first).image.repo_tags)


def test_different_images_are_listed_apart(images: Images) -> None:
    names = [images.runtime.image(f"different:{number}") for number in (1, 2, 3)]
    identifiers = {images.present(name) for name in names}
    assert len(identifiers) == 3
    assert [images.tags().count(name) for name in names] == [1, 1, 1]


def test_an_image_is_named_by_its_id(images: Images) -> None:
    identifier = images.present(images.runtime.image("different:1"))
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
    image = images.status(images.present(images.runtime.image(name))).image
    if uid is None:
        assert not image.uid.value and image.username == username
    else:
        assert image.uid.value == uid and not image.username


def test_verbose_status_tells_the_configuration(images: Images) -> None:
    name = images.runtime.image("entry:1")
    info = json.loads(images.status(name, verbose=True).info["info"])
    configuration = info["imageSpec"]["config"]
    assert configuration["Entrypoint"] == ["/bin/echo", "entry"] and configuration["WorkingDir"] == "/work/here"
    assert not images.status(name).info


def test_a_removed_image_is_gone_at_once(pulling: Images) -> None:
    name = pulling.runtime.image("different:3")
    pulling.pull(name)
    pulling.gone(name)
    assert name not in pulling.tags() and not pulling.status(name).HasField("image")
    pulling.remove(name)
    pulling.pull(name)


def test_many_remove_one_image_at_once(pulling: Images) -> None:
    name = pulling.runtime.image("different:3")
    identifier = pulling.pull(name)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        list(pool.map(pulling.remove, [identifier] * 5))
    assert not pulling.status(identifier).HasField("image")
    pulling.pull(name)


def test_many_pull_one_image_at_once(pulling: Images) -> None:
    name = pulling.runtime.image("different:3")
    pulling.gone(name)
    with concurrent.futures.ThreadPoolExecutor(5) as pool:
        references = list(pool.map(pulling.pull, [name] * 5))
    assert len(set(references)) == 1 and pulling.tags().count(name) == 1


def test_a_container_whose_image_lost_its_name_goes_on(pulling: Images) -> None:
    runtime = pulling.runtime
    name = runtime.image("different:3")
    pulling.pull(name)
    container = runtime.sleeper(runtime.pod(), image="different:3")
    if runtime.kind == "containerd":
        pulling.remove(name)
    else:
        runtime.refused(lambda: pulling.remove(name))
    assert runtime.output(container, "cat", "/which") == "3"
    runtime.remove(container)
    pulling.pull(name)


def test_the_images_filesystem_is_told(images: Images) -> None:
    (usage, *_) = images.client.ImageFsInfo(cri.ImageFsInfoRequest()).image_filesystems
    assert usage.timestamp and usage.fs_id.mountpoint.startswith("/")
    images.runtime.until(lambda: images.used_bytes() > 0, "the images' bytes to be counted")


@pytest.mark.containerd_lacks("it tells the snapshotter's filesystem only")
def test_the_containers_filesystem_is_told(images: Images) -> None:
    answer = images.client.ImageFsInfo(cri.ImageFsInfoRequest())
    assert answer.container_filesystems and answer.container_filesystems[0].fs_id.mountpoint


@pytest.fixture
def index(pulling: Images) -> str:
    """Digest of an index in the registry, ``different:index``, with this machine's image and another's."""
    server = pulling.runtime.server
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    manifests = []
    for tag, name in (("1", architecture), ("2", "s390x")):
        digested = pulling.status(pulling.pull(pulling.runtime.image(f"different:{tag}"))).image.repo_digests
        (digest,) = {one.partition("@")[2] for one in digested}
        size = len(server.manifest(digest))
        described = {"mediaType": MANIFEST, "digest": digest, "size": size}
        manifests.append({**described, "platform": {"os": "linux", "architecture": name}})
    text = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()
    server.push_manifest("conformance/different", "index", text, INDEX)
    return f"sha256:{hashlib.sha256(text).hexdigest()}"


def test_an_image_of_several_platforms_has_the_indexs_digest(pulling: Images, index: str) -> None:
    repository = pulling.runtime.image("different")
    tagged, digested = f"{repository}:index", f"{repository}@{index}"
    of_the_platform = pulling.status(f"{repository}:1").image.id
    for reference in (tagged, digested):
        pulling.gone(of_the_platform)
        assert pulling.pull(reference) == of_the_platform
        image = pulling.status(reference).image
        assert image.id == of_the_platform
        assert list(image.repo_digests) == [digested]
        assert list(image.repo_tags) == ([tagged] if reference == tagged else [])
    pulling.gone(of_the_platform)
    pulling.pull(f"{repository}:1")
