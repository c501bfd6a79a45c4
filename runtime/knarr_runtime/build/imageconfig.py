"""The configuration of an image that is being built, instruction by instruction. Pure.

A :class:`Draft` is the OCI image configuration in the making, with Docker's additions (Healthcheck, OnBuild, Shell) as
Docker itself writes them into OCI images. Source: OCI image specification "Image Configuration".
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from knarr_runtime.errors import Invalid

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_LAYER_GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
DEFAULT_SHELL = ("/bin/sh", "-c")
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
COMMENT = "knarr build"
_OCI_TYPES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": OCI_LAYER_GZIP,
    "application/vnd.docker.image.rootfs.diff.tar": "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.docker.image.rootfs.diff.tar.zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
}
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)
_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9+-]{1,14}\Z")
MAX_LAYERS = 127


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """digest and size: of the compressed blob."""

    diff_id: str
    digest: str
    size: int
    media_type: str = OCI_LAYER_GZIP


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """config: the ``config`` object with the names the specification gives. command_set: CMD came in this stage."""

    os: str = "linux"
    architecture: str = ""
    variant: str = ""
    author: str = ""
    created: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    command_set: bool = False

    # What instructions ask for

    def text(self, key: str) -> str:
        return str(self.config.get(key) or "")

    def list(self, key: str) -> tuple[str, ...]:
        return tuple(self.config.get(key) or ())

    @property
    def env(self) -> dict[str, str]:
        return dict(text.partition("=")[::2] for text in self.list("Env"))

    @property
    def shell(self) -> tuple[str, ...]:
        return self.list("Shell") or DEFAULT_SHELL

    @property
    def working_dir(self) -> str:
        return self.text("WorkingDir") or "/"

    # What they change

    def with_(self, key: str, value: Any) -> Draft:
        """``value`` empty: the key goes."""
        changed = {name: one for name, one in self.config.items() if name != key}
        if value:
            changed[key] = value
        return replace(self, config=changed)

    def with_env(self, pairs: Sequence[tuple[str, str]]) -> Draft:
        return self.with_("Env", [f"{name}={value}" for name, value in {**self.env, **dict(pairs)}.items()])

    def with_labels(self, pairs: Sequence[tuple[str, str]]) -> Draft:
        return self.with_("Labels", {**(self.config.get("Labels") or {}), **dict(pairs)})

    def with_command(self, args: Sequence[str], *, shell: bool) -> Draft:
        return replace(self.with_("Cmd", [*self.shell, *args] if shell else list(args)), command_set=True)

    def with_entrypoint(self, args: Sequence[str], *, shell: bool) -> Draft:
        """The base image's command goes: it was meant for its own entrypoint."""
        changed = self.with_("Entrypoint", [*self.shell, *args] if shell else list(args))
        return changed if self.command_set else changed.with_("Cmd", None)

    def with_ports(self, ports: Sequence[str]) -> Draft:
        """Raises Invalid."""
        exposed = dict(self.config.get("ExposedPorts") or {})
        for port in ports:
            exposed.update({key: {} for key in _ports(port)})
        return self.with_("ExposedPorts", dict(sorted(exposed.items())))

    def with_volumes(self, paths: Sequence[str]) -> Draft:
        volumes = self.config.get("Volumes") or {}
        return self.with_("Volumes", dict(sorted({**volumes, **{path: {} for path in paths}}.items())))

    def with_working_dir(self, path: str) -> Draft:
        joined = posixpath.normpath(posixpath.join(self.working_dir, path))
        return self.with_("WorkingDir", "/" + joined.lstrip("/"))

    def with_stop_signal(self, signal: str) -> Draft:
        """Raises Invalid."""
        if not (signal.isdecimal() and 0 < int(signal) < 65) and not _SIGNAL.match(signal.upper()):
            raise Invalid(f"invalid signal: {signal}")
        return self.with_("StopSignal", signal)

    def with_step(self, created: str, created_by: str, layer: Layer | None) -> Draft:
        """One more entry of the history, and its layer. Raises Invalid for too many layers."""
        entry: dict[str, Any] = {"created": created, "created_by": created_by, "comment": COMMENT}
        if layer is None:
            entry["empty_layer"] = True
        elif len(self.layers) == MAX_LAYERS:
            raise Invalid(f"max depth exceeded: an image has at most {MAX_LAYERS} layers; join some instructions")
        layers = self.layers if layer is None else (*self.layers, layer)
        return replace(self, created=created, history=(*self.history, entry), layers=layers)

    # What comes out

    def document(self) -> bytes:
        """The configuration's JSON; its digest is the image's id."""
        document: dict[str, Any] = {
            **({"created": self.created} if self.created else {}),
            **({"author": self.author} if self.author else {}),
            "architecture": self.architecture,
            **({"variant": self.variant} if self.variant else {}),
            "os": self.os,
            "config": dict(self.config),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in self.layers]},
            "history": list(self.history),
        }
        return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogateescape")


def manifest(draft: Draft, config_digest: str, config_bytes: int) -> bytes:
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": {"mediaType": OCI_CONFIG, "digest": config_digest, "size": config_bytes},
        "layers": [
            {"mediaType": layer.media_type, "digest": layer.digest, "size": layer.size} for layer in draft.layers
        ],
    }
    return json.dumps(document, separators=(",", ":")).encode()


def read(config: bytes, manifest_json: bytes) -> Draft:
    """The draft that begins where an image ends: FROM. Raises Invalid for documents that do not fit together."""
    try:
        document, described = json.loads(config), json.loads(manifest_json)
        diff_ids = [str(one) for one in document["rootfs"]["diff_ids"]]
        layers = [
            Layer(
                diff_id=diff_id,
                digest=str(one["digest"]),
                size=int(one["size"]),
                media_type=_OCI_TYPES.get(one["mediaType"], str(one["mediaType"])),
            )
            for diff_id, one in zip(diff_ids, described["layers"], strict=True)
        ]
        return Draft(
            os=str(document.get("os") or "linux"),
            architecture=str(document.get("architecture") or ""),
            variant=str(document.get("variant") or ""),
            author=str(document.get("author") or ""),
            created=str(document.get("created") or ""),
            config={key: value for key, value in (document.get("config") or {}).items() if value},
            layers=tuple(layers),
            history=tuple(document.get("history") or ()),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Invalid(f"the base image's configuration and manifest do not fit together: {error}") from error


def _ports(text: str) -> list[str]:
    match = _PORT.match(text)
    first = int(match[1]) if match else 0
    last = int(match[2] or first) if match else 0
    if match is None or not 0 < first <= last < 65536:
        raise Invalid(f"invalid containerPort: {text}")
    return [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1)]
