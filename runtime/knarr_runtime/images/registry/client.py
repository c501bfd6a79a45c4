"""Pull and push of whole images."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from knarr_runtime.errors import Denied, Invalid, NotFound, RuntimeFailure, Unavailable
from knarr_runtime.images import documents, names
from knarr_runtime.images.blobs import Ingest
from knarr_runtime.images.documents import Descriptor, Manifest, Platform
from knarr_runtime.images.progress import Progress
from knarr_runtime.images.registry import credentials as known
from knarr_runtime.images.registry.credentials import Credentials
from knarr_runtime.images.registry.settings import RegistrySettings
from knarr_runtime.images.registry.transport import Cancellation, Endpoint, Transport, endpoints
from knarr_runtime.images.store import Image, ImageStore

ACCEPT = ", ".join((*documents.MANIFESTS, *documents.INDEXES))
PIECE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A full name in parts; digest counts before tag."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    @property
    def version(self) -> str:
        return self.digest or self.tag


@dataclass(frozen=True, slots=True)
class Pulled:
    """digest: of the manifest or index that the name stands for."""

    image: Image
    name: str
    digest: str


def reference(name: str) -> Reference:
    """Raises Invalid."""
    full = names.normalise(name)
    whole, _, digest = full.partition("@")
    registry, _, rest = whole.partition("/")
    repository, colon, tag = rest.partition(":")
    return Reference(registry=registry, repository=repository, tag=tag if colon else "", digest=digest)


class Registry:
    """See the package's text."""

    def __init__(self, store: ImageStore, settings: RegistrySettings) -> None:
        self._store = store
        self._settings = settings

    def pull(
        self,
        name: str,
        *,
        platform: str = "",
        credentials: Credentials = known.NOBODY,
        progress: Progress,
        cancellation: Cancellation,
    ) -> Pulled:
        """Raises NotFound, Denied, Invalid, Unavailable, Cancelled, OSError; what has come is kept for a next time."""
        wanted = documents.platform(platform)
        source = reference(name)
        full = names.normalise(name)
        credentials = credentials or known.find(source.registry, source.repository, self._settings.config_files)
        failure: RuntimeFailure | None = None
        for endpoint in endpoints(source.registry, self._settings):
            transport = self._transport(endpoint, source, credentials, cancellation)
            try:
                with contextlib.closing(transport), self._store.lease():
                    return self._pull(_Pull(transport, self._store, progress, wanted), source, full)
            except (NotFound, Unavailable, Denied) as error:
                failure = error
                if endpoint.own:
                    break
        assert failure is not None
        if isinstance(failure, NotFound):
            raise NotFound(f'failed to resolve reference "{full}": {failure}') from failure
        if isinstance(failure, Denied):
            raise Denied(f'pull access denied for "{full}": {failure}') from failure
        raise type(failure)(f'failed to pull "{full}": {failure}') from failure

    def _transport(
        self, endpoint: Endpoint, where: Reference, credentials: Credentials, cancellation: Cancellation, **more: str
    ) -> Transport:
        return Transport(endpoint, where.repository, credentials, self._settings, cancellation, **more)

    def _pull(self, pull: _Pull, source: Reference, full: str) -> Pulled:
        digest, manifest_digest, manifest = pull.resolve(source)
        pull.blobs(manifest, self._settings.parallel)
        pinned = f"{source.registry}/{source.repository}@{digest}"
        tags = (pinned,) if source.digest else (full, pinned)
        return Pulled(self._store.add_image(manifest_digest, tags, pull.progress), full, digest)

    def push(
        self, name: str, *, credentials: Credentials = known.NOBODY, progress: Progress, cancellation: Cancellation
    ) -> str:
        """The manifest's digest. Raises NotFound, Denied, Invalid, Unavailable, Cancelled."""
        image = self._store.find(name)
        target = reference(name)
        if target.digest:
            raise Invalid(f'"{name}": push by a tag, not by a digest')
        manifest = self._store.manifest(image)
        credentials = credentials or known.find(target.registry, target.repository, self._settings.config_files)
        *_, endpoint = endpoints(target.registry, self._settings)
        transport = self._transport(endpoint, target, credentials, cancellation, actions="pull,push")
        elsewhere = tuple(
            one.repository for one in map(reference, image.names)
            if one.registry == target.registry and one.repository != target.repository
        )  # fmt: skip
        try:
            with contextlib.closing(transport), self._store.lease():
                push = _Push(transport, self._store, progress, elsewhere)
                jobs = [functools.partial(push.blob, one) for one in dict.fromkeys((*manifest.layers, manifest.config))]
                _together(jobs, self._settings.parallel, cancellation)
                return push.manifest(image.manifest_digest, target.tag)
        except Denied as error:
            raise Denied(f'push access denied for "{names.normalise(name)}": {error}') from error
        except Unavailable as error:
            raise Unavailable(f'failed to push "{names.normalise(name)}": {error}') from error


class _Pull:
    """One pull from one endpoint."""

    def __init__(self, transport: Transport, store: ImageStore, progress: Progress, platform: Platform) -> None:
        self._transport = transport
        self._store = store
        self._platform = platform
        self.progress = progress

    def resolve(self, source: Reference) -> tuple[str, str, Manifest]:
        """Digest of what the name stands for, digest of the image's manifest, the manifest."""
        raw, media_type = self._manifest(source.version)
        digest = documents.digest_of(raw)
        if source.digest and digest != source.digest:
            raise Invalid(f"{source.digest} does not have that digest but {digest}")
        manifest_digest = digest
        for _ in range(documents.MAX_INDEX_DEPTH):
            document = documents.read_json(raw, f"the manifest of {source.repository}:{source.version}")
            if not documents.is_index(document):
                if media_type in documents.INDEXES:
                    raise Invalid(f"{manifest_digest} is an index without manifests")
                self._store.put(raw)
                return digest, manifest_digest, documents.manifest(document)
            chosen = documents.choose(document, self._platform)
            raw, media_type = self._manifest(chosen.digest)
            manifest_digest = documents.digest_of(raw)
            if manifest_digest != chosen.digest:
                raise Invalid(f"{chosen.digest} does not have that digest but {manifest_digest}")
        raise Invalid("indexes in indexes in indexes")

    def _manifest(self, version: str) -> tuple[bytes, str]:
        with self._transport.answer("GET", f"manifests/{version}", {"Accept": ACCEPT}) as answer:
            raw = _limited(answer, documents.MAX_MANIFEST_BYTES, "the manifest")
            return raw, answer.headers.get("Content-Type", "").partition(";")[0].strip()

    def blobs(self, manifest: Manifest, parallel: int) -> None:
        """All that is missing; several at once."""
        for layer in manifest.layers:
            self.progress(layer.digest, "Waiting", 0, layer.size)
        jobs = [functools.partial(self._blob, one) for one in dict.fromkeys((manifest.config, *manifest.layers))]
        _together(jobs, parallel, self._transport.cancellation)

    def _blob(self, one: Descriptor) -> None:
        if self._store.has_blob(one.digest):
            self.progress(one.digest, "Already exists", one.size, one.size)
            return
        with self._store.ingest(one.digest, one.size) as coming:
            if self._store.has_blob(one.digest):  # another pull has just got it
                return
            attempt = 0
            while coming.offset < one.size:
                before = coming.offset
                try:
                    self._some(one, coming)
                except HTTPError as error:
                    self._transport.cancellation.check()
                    attempt = 0 if coming.offset > before else attempt + 1
                    if attempt >= 5:
                        raise Unavailable(f"{one.digest}: {type(error).__name__} again and again") from None
                    self._transport.wait(attempt)
            self.progress(one.digest, "Verifying", one.size, one.size)
            coming.commit()
            self.progress(one.digest, "Download complete", one.size, one.size)

    def _some(self, one: Descriptor, coming: Ingest) -> None:
        """As much as one answer gives, from where we are."""
        headers = {"Accept-Encoding": "identity"}
        if coming.offset:
            headers["Range"] = f"bytes={coming.offset}-"
        with self._transport.answer("GET", f"blobs/{one.digest}", headers) as answer:
            if coming.offset and not _continues(answer, coming.offset):
                coming.restart()
            length = answer.headers.get("Content-Length")
            if length is not None and (not length.isdecimal() or int(length) + coming.offset != one.size):
                raise Invalid(f"{one.digest}: {length[:20]} bytes are offered, {one.size - coming.offset} are expected")
            for piece in answer.stream(PIECE_BYTES, decode_content=False):
                coming.write(piece)
                self._transport.cancellation.check()
                self.progress(one.digest, "Downloading", coming.offset, one.size)
            if coming.offset < one.size:
                raise urllib3.exceptions.ProtocolError("the answer ended early")


class _Push:
    """One push to one registry."""

    def __init__(self, transport: Transport, store: ImageStore, progress: Progress, elsewhere: tuple[str, ...]) -> None:
        self._transport = transport
        self._store = store
        self._progress = progress
        self._elsewhere = elsewhere

    def blob(self, one: Descriptor) -> None:
        self._progress(one.digest, "Preparing", 0, one.size)
        try:
            with self._transport.answer("HEAD", f"blobs/{one.digest}"):
                self._progress(one.digest, "Layer already exists", one.size, one.size)
                return
        except NotFound:
            pass
        path = self._store.blob(one.digest)
        location = self._begin(one)
        if location is None:
            self._progress(one.digest, "Mounted", one.size, one.size)
            return
        url = f"{location}{'&' if urlsplit(location).query else '?'}digest={one.digest}"
        headers = {"Content-Type": "application/octet-stream"}
        opener = functools.partial(self._opened, path, one)
        with self._transport.answer("PUT", url, headers, body=opener, size=one.size):
            self._progress(one.digest, "Pushed", one.size, one.size)

    def _begin(self, one: Descriptor) -> str | None:
        """Where to upload; None when the registry has taken it from another of its repositories."""
        mount = f"?mount={one.digest}&from={self._elsewhere[0]}" if self._elsewhere else ""
        with self._transport.answer("POST", f"blobs/uploads/{mount}") as answer:
            if answer.status == 201:
                return None
            location = urljoin(f"{self._transport.endpoint.url}/", answer.headers.get("Location", ""))
            if urlsplit(location).netloc != urlsplit(self._transport.endpoint.url).netloc:
                raise Invalid(f"the registry wants {one.digest} uploaded to {urlsplit(location).netloc}")
            return location

    @contextlib.contextmanager
    def _opened(self, path: Path, one: Descriptor) -> Iterator[IO[bytes]]:
        with path.open("rb") as file:
            yield _Counting(file, self._transport.cancellation, functools.partial(self._sent, one))  # type: ignore[misc]

    def _sent(self, one: Descriptor, count: int) -> None:
        self._progress(one.digest, "Pushing", count, one.size)

    def manifest(self, digest: str, tag: str) -> str:
        raw = self._store.blob(digest).read_bytes()
        document = documents.read_json(raw, digest)
        kind = str(document.get("mediaType") or documents.OCI_MANIFEST)
        with self._transport.answer("PUT", f"manifests/{tag}", {"Content-Type": kind}, body=raw):
            return digest


class _Counting:
    """A file being sent."""

    def __init__(self, file: IO[bytes], cancellation: Cancellation, sent: functools.partial[None]) -> None:
        self._file = file
        self._cancellation = cancellation
        self._sent = sent
        self._count = 0

    def read(self, size: int = -1) -> bytes:
        self._cancellation.check()
        data = self._file.read(size)
        self._count += len(data)
        self._sent(self._count)
        return data


def _continues(answer: urllib3.BaseHTTPResponse, offset: int) -> bool:
    """Whether the answer begins where we are."""
    return answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def _limited(answer: urllib3.BaseHTTPResponse, limit: int, what: str) -> bytes:
    """Raises Invalid, Unavailable."""
    found = b""
    try:
        for piece in answer.stream(PIECE_BYTES):
            found += piece
            if len(found) > limit:
                raise Invalid(f"{what} has more than {limit} bytes")
    except HTTPError as error:
        raise Unavailable(f"{what}: the connection was lost") from error
    return found


def _together(jobs: list[functools.partial[None]], parallel: int, cancellation: Cancellation) -> None:
    """The first failure ends all, and is raised."""
    with ThreadPoolExecutor(parallel, thread_name_prefix="transfer") as threads:
        futures = [threads.submit(job) for job in jobs]
        done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        failure = next((one.exception() for one in done if one.exception() is not None), None)
        if failure is not None:
            for one in futures:
                one.cancel()
            cancellation.cancel()
    if failure is not None:
        raise failure
