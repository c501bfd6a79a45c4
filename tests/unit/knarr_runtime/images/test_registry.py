"""Registries that misbehave, and what becomes of a pull then: a precise error, and a store that can be used."""

from __future__ import annotations

import base64
import io
import json
import os
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from knarr_runtime.errors import Cancelled, Denied, Invalid, NotFound, Unavailable
from knarr_runtime.images.registry import credentials
from knarr_runtime.images.registry.client import Pulled, Registry
from knarr_runtime.images.registry.credentials import Credentials
from knarr_runtime.images.registry.settings import RegistrySettings
from knarr_runtime.images.registry.transport import Cancellation
from knarr_runtime.images.store import ImageStore
from tests.unit.knarr_runtime.images.fake_registry import OCI_INDEX, FakeRegistry, Handler, digest


def layer(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


BASE, TOP = layer("base", b"b" * 300_000), layer("top", os.urandom(700_000))


class Pulling:
    """A store and the client on it."""

    def __init__(self, root: Path) -> None:
        self.store = ImageStore(root)
        self.told: list[tuple[str, str, int, int]] = []

    def __call__(self, name: str, who: Credentials = credentials.NOBODY, **more: Any) -> Pulled:
        cancellation = more.pop("cancellation", Cancellation())
        platform = more.pop("platform", "linux/amd64")
        settings = RegistrySettings(**{"stall_s": 0.3, "retry_s": 0.001, "attempts": 3, **more})
        return Registry(self.store, settings).pull(
            name,
            platform=platform,
            credentials=who,
            progress=lambda *step: self.told.append(step),
            cancellation=cancellation,
        )


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    own = FakeRegistry()
    yield own
    own.close()


@pytest.fixture
def pull(tmp_path: Path) -> Pulling:
    return Pulling(tmp_path / "images")


def once(*answers: Any) -> Any:
    """A step that acts so many times, then leaves requests alone."""
    left = list(answers)

    def step(handler: Handler) -> bool:
        if not left:
            return False
        left.pop(0)(handler)
        return True

    return step


def always(action: Any) -> Any:
    def step(handler: Handler) -> bool:
        action(handler)
        return True

    return step


def test_an_image_is_pulled_and_verified(registry: FakeRegistry, pull: Pulling) -> None:
    manifest, _ = registry.serve_image(BASE, TOP)
    found = pull(f"{registry.host}/team/app:1")
    assert found.digest == manifest
    assert set(found.image.names) == {f"{registry.host}/team/app:1", f"{registry.host}/team/app@{manifest}"}
    top, base = pull.store.layer_paths(found.image)
    assert (Path(top) / "top").stat().st_size == 700_000 and (Path(base) / "base").read_bytes() == b"b" * 300_000
    assert (digest(TOP), "Pull complete", len(TOP), len(TOP)) in pull.told


def test_what_is_here_is_not_fetched_again(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE)
    registry.serve_image(BASE, TOP, tag="2")
    pull(f"{registry.host}/app:1")
    pull(f"{registry.host}/app:2")
    assert len(registry.requests(f"blobs/{digest(BASE)}")) == 1


def test_of_an_index_the_platform_is_taken(registry: FakeRegistry, pull: Pulling) -> None:
    wanted, data = registry.serve_image(TOP, tag="x")
    other, _ = registry.serve_image(BASE, tag="y")
    entries = [
        {"digest": other, "size": 1, "platform": {"os": "linux", "architecture": "s390x"}},
        {"digest": wanted, "size": len(data), "platform": {"os": "linux", "architecture": "amd64"}},
    ]
    index = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}).encode()
    registry.manifests["multi"] = (OCI_INDEX, index)
    found = pull(f"{registry.host}/app:multi")
    assert found.digest == digest(index) and found.image.manifest_digest == wanted
    with pytest.raises(NotFound, match=r"no match for platform linux/riscv64 in manifest: it has linux/s390x"):
        pull(f"{registry.host}/app:multi", platform="linux/riscv64")


def test_an_index_that_holds_itself_ends(registry: FakeRegistry, pull: Pulling) -> None:
    inner, data = registry.serve_image(BASE)
    kind = {"os": "linux", "architecture": "amd64"}
    for _ in range(5):
        index = {"schemaVersion": 2, "manifests": [{"digest": inner, "size": len(data), "platform": kind}]}
        data = json.dumps(index).encode()
        inner = digest(data)
        registry.manifests[inner] = registry.manifests["deep"] = (OCI_INDEX, data)
    with pytest.raises(Invalid, match="indexes in indexes"):
        pull(f"{registry.host}/app:deep")


def test_a_broken_download_goes_on_where_it_was(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(TOP)

    def half(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(TOP)))
        handler.end_headers()
        handler.wfile.write(TOP[:400_000])
        handler.wfile.flush()
        handler.close_connection = True

    registry.on(f"blobs/{digest(TOP)}", once(half))
    pull(f"{registry.host}/app:1")
    ranges = [headers.get("Range") for _, _, headers in registry.requests(f"blobs/{digest(TOP)}")]
    assert ranges[0] is None and ranges[1] is not None and 0 < int(ranges[1][6:-1]) <= 400_000


def test_a_pull_that_failed_goes_on_where_it_was(registry: FakeRegistry, tmp_path: Path) -> None:
    registry.serve_image(TOP)

    def half(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(TOP)))
        handler.end_headers()
        handler.wfile.write(TOP[:500_000])
        handler.wfile.flush()
        handler.close_connection = True

    registry.on(f"blobs/{digest(TOP)}", once(half, *[lambda handler: handler.answer(503)] * 3))
    with pytest.raises(Unavailable):
        Pulling(tmp_path / "images")(f"{registry.host}/app:1")
    Pulling(tmp_path / "images")(f"{registry.host}/app:1")  # a daemon of later
    last = registry.requests(f"blobs/{digest(TOP)}")[-1]
    assert int(last[2]["Range"][6:-1]) > 0


def test_a_registry_that_stalls_is_given_up(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE)
    released = threading.Event()
    registry.on("manifests/1", always(lambda handler: released.wait(10)))
    try:
        with pytest.raises(Unavailable, match="stopped answering"):
            pull(f"{registry.host}/app:1")
    finally:
        released.set()


@pytest.mark.parametrize(
    ("offered", "said"), [(b"x" * 100, "bytes are offered"), (b"y" * len(TOP), "does not have that digest")]
)
def test_a_layer_that_is_not_what_was_said(registry: FakeRegistry, pull: Pulling, offered: bytes, said: str) -> None:
    registry.serve_image(TOP)
    registry.blobs[digest(TOP)] = offered
    with pytest.raises(Invalid, match=said):
        pull(f"{registry.host}/app:1")
    assert pull.store.images() == () and not pull.store.has_blob(digest(TOP))


def test_a_layer_without_end_is_cut_where_it_should_have_ended(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE)

    def endless(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"10000\r\n" + b"z" * 0x10000 + b"\r\n")
        except OSError:
            handler.close_connection = True

    registry.on(f"blobs/{digest(BASE)}", always(endless))
    with pytest.raises(Invalid, match="more than the"):
        pull(f"{registry.host}/app:1")


def test_a_layer_whose_content_has_another_digest_is_not_used(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE, diff_ids=[digest(TOP)])
    with pytest.raises(Invalid, match="does not have that digest"):
        pull(f"{registry.host}/app:1")
    assert pull.store.images() == ()
    assert not list((pull.store.root / "layers").iterdir()) and not list((pull.store.root / "tmp").iterdir())


def test_a_manifest_by_digest_must_have_it(registry: FakeRegistry, pull: Pulling) -> None:
    wanted, _ = registry.serve_image(BASE)
    _, other = registry.serve_image(TOP, tag="2")
    registry.manifests[wanted] = ("application/vnd.oci.image.manifest.v1+json", other)
    with pytest.raises(Invalid, match="does not have that digest"):
        pull(f"{registry.host}/app@{wanted}")


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"[" * 100_000, "no JSON"),
        (b"{}" + b" " * (5 << 20), "more than"),
        (b'{"schemaVersion":1,"fsLayers":[]}', "schema 1"),
        (b'{"layers":[{"digest":"sha256:no","size":1}]}', "digest"),
        (b'{"layers":[{"digest":"sha256:' + b"0" * 64 + b'","size":-1}]}', "size"),
        (json.dumps({"layers": [{"digest": f"sha256:{'0' * 64}", "size": 1}] * 128}).encode(), "at most 127"),
    ],
)
def test_manifests_that_make_no_sense(registry: FakeRegistry, pull: Pulling, document: bytes, said: str) -> None:
    registry.manifests["odd"] = ("application/vnd.oci.image.manifest.v1+json", document)
    with pytest.raises(Invalid, match=said):
        pull(f"{registry.host}/app:odd")


def test_missing_images_are_told_from_denied_ones(registry: FakeRegistry, pull: Pulling) -> None:
    with pytest.raises(NotFound, match=r'failed to resolve reference "127\.0\.0\.1:\d+/app:none".*manifest unknown'):
        pull(f"{registry.host}/app:none")
    registry.on("manifests", always(lambda handler: handler.answer(403)))
    with pytest.raises(Denied, match="pull access denied"):
        pull(f"{registry.host}/app:none")


def test_too_many_requests_are_repeated_later(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE)
    registry.on("manifests/1", once(*[lambda handler: handler.answer(429, Retry_After="0")] * 2))
    pull(f"{registry.host}/app:1")
    assert len(registry.requests("manifests/1")) == 3


def test_a_token_is_asked_for_once_and_used(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE, TOP)
    registry.authorization = "Bearer t0ken"
    registry.challenge = f'Bearer realm="http://{registry.host}/token",service="registry"'
    pull(f"{registry.host}/team/app:1", Credentials(username="anna", password="secret"))
    assert registry.scopes == ["repository:team/app:pull"]
    with pytest.raises(Denied, match="wrong user name or password") as denied:
        pull(f"{registry.host}/team/app:1", Credentials(username="anna", password="hunter2"))
    assert "hunter2" not in str(denied.value)


def test_basic_authentication_from_dockers_file(registry: FakeRegistry, pull: Pulling, tmp_path: Path) -> None:
    registry.serve_image(BASE)
    secret = base64.b64encode(b"anna:secret").decode()
    registry.authorization, registry.challenge = f"Basic {secret}", 'Basic realm="registry"'
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {registry.host: {"auth": secret}}}))
    with pytest.raises(Denied):
        pull(f"{registry.host}/app:1")
    pull(f"{registry.host}/app:1", config_files=(tmp_path / "none.json", file))


def test_credentials_do_not_follow_redirects_to_others(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE)
    registry.authorization = f"Basic {base64.b64encode(b'anna:secret').decode()}"
    registry.challenge = "Basic realm=x"
    other = FakeRegistry()
    try:
        other.blobs = registry.blobs
        target = f"http://{other.host}/elsewhere/blobs/{digest(BASE)}"
        registry.on(f"blobs/{digest(BASE)}", always(lambda handler: handler.answer(307, Location=target)))
        pull(f"{registry.host}/app:1", Credentials(username="anna", password="secret"))
        (seen,) = other.requests(digest(BASE))
        assert "Authorization" not in seen[2]
    finally:
        other.close()


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("http://192.0.2.1/x", "without TLS"),
        ("file:///etc/passwd", "no URL"),
        ("/v2/app/manifests/1", "more than 5 times"),
    ],
)
def test_redirects_are_not_followed_anywhere(registry: FakeRegistry, pull: Pulling, target: str, said: str) -> None:
    registry.on("manifests/1", always(lambda handler: handler.answer(302, Location=target)))
    with pytest.raises(Invalid, match=said):
        pull(f"{registry.host}/app:1")


def test_mirrors_come_first_and_need_not_have_all(registry: FakeRegistry, pull: Pulling) -> None:
    mirror = FakeRegistry()
    try:
        mirror.serve_image(BASE)
        registry.serve_image(TOP, tag="2")
        mirrors = {registry.host: (f"http://{mirror.host}",)}
        who = Credentials(username="anna", password="secret")
        pull(f"{registry.host}/app:1", who, mirrors=mirrors)
        pull(f"{registry.host}/app:2", who, mirrors=mirrors)
        assert registry.requests("manifests/1") == [] and mirror.requests("manifests/2") != []
        assert all("Authorization" not in headers for _, _, headers in mirror.seen)
    finally:
        mirror.close()


def test_plain_http_is_for_loopback_and_those_named(pull: Pulling) -> None:
    from knarr_runtime.images.registry.transport import endpoints

    settings = RegistrySettings(insecure=frozenset({"lab:5000"}))
    urls = [endpoints(host, settings)[-1].url for host in ("127.0.0.1:5000", "[::1]:5000", "localhost", "lab:5000")]
    assert all(url.startswith("http://") for url in urls)
    for host in ("docker.io", "10.0.0.1:5000", "localhost.example.com"):
        assert endpoints(host, settings)[-1].url.startswith("https://")
    with pytest.raises(Invalid, match="no TLS"):
        endpoints("docker.io", RegistrySettings(mirrors={"docker.io": ("http://mirror",)}))


def test_a_cancelled_pull_ends_soon_and_leaves_the_store_usable(registry: FakeRegistry, pull: Pulling) -> None:
    registry.serve_image(BASE)
    asked, released = threading.Event(), threading.Event()

    def hang(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(BASE)))
        handler.end_headers()
        handler.wfile.write(BASE[:1000])
        handler.wfile.flush()
        asked.set()
        released.wait(100)
        handler.close_connection = True

    registry.on(f"blobs/{digest(BASE)}", once(hang))
    cancellation = Cancellation()
    failures: list[BaseException] = []

    def work() -> None:
        try:
            pull(f"{registry.host}/app:1", cancellation=cancellation, stall_s=100.0)
        except BaseException as error:  # noqa: BLE001 kept for the assertion
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert asked.wait(30)
        cancellation.cancel()
        thread.join(30)
        assert not thread.is_alive() and isinstance(failures[0], Cancelled)
    finally:
        released.set()
    pull(f"{registry.host}/app:1")


def test_an_answer_that_comes_as_the_pull_is_cancelled_is_not_read() -> None:
    cancellation = Cancellation()
    cancellation.cancel()
    with pytest.raises(Cancelled), cancellation.cutting(urllib3.HTTPResponse()):
        raise AssertionError("it would be waited for")


def test_a_full_disk_is_said_and_frees_what_had_come(registry: FakeRegistry, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    from knarr_runtime.kernel import syscalls

    point = tmp_path / "small"
    point.mkdir()
    registry.serve_image(TOP)
    syscalls.mount("test", str(point), "tmpfs", 0, "size=400k")
    try:
        pull = Pulling(point / "images")
        with pytest.raises(OSError, match="No space left"):
            pull(f"{registry.host}/app:1")
        status = os.statvfs(point)
        assert status.f_bavail * status.f_frsize > 250_000
    finally:
        syscalls.umount(str(point))


def test_helpers_are_asked_without_a_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text('#!/bin/sh\nread server\necho "{\\"Username\\":\\"anna\\",\\"Secret\\":\\"for $server\\"}"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    file = tmp_path / "config.json"
    file.write_text('{"credHelpers": {"registry.example": "test"}}')
    found = credentials.find("registry.example", "team/app", (file,))
    assert (found.username, found.password) == ("anna", "for registry.example")
    file.write_text('{"credHelpers": {"registry.example": "../../bin/sh"}}')
    assert not credentials.find("registry.example", "team/app", (file,))


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(Credentials(username="u", password="secret", identity_token="secret"))
