"""Who we are to a registry: from the request, else from Docker's usual files.

No secret is ever part of a message or of a process's arguments. Source: Docker's config.json and credential helper
protocol; containers-auth.json(5); CRI's AuthConfig.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

from knarr_runtime.errors import Invalid

DOCKER_HUB = "docker.io"
HUB_KEYS = ("https://index.docker.io/v1/", "index.docker.io", "docker.io", "registry-1.docker.io")
HELPER = re.compile(r"[a-z0-9][a-z0-9-]*")
HELPER_S = 10.0
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """identity_token: an OAuth2 refresh token. registry_token: a bearer token, sent as it is."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)

    def __bool__(self) -> bool:
        return bool(self.username or self.identity_token or self.registry_token)


NOBODY = Credentials()


def given(username: str, password: str, auth: str, identity_token: str, registry_token: str) -> Credentials:
    """CRI's AuthConfig. auth: base64 of ``user:password``. Raises Invalid."""
    if auth and not username:
        username, password = decoded(auth)
    return Credentials(
        username=username, password=password, identity_token=identity_token, registry_token=registry_token
    )


def of_message(message: Any) -> Credentials:
    """A RegistryAuth of Knarr's own services."""
    return given(message.username, message.password, "", message.identity_token, message.registry_token)


def decoded(auth: str) -> tuple[str, str]:
    """Raises Invalid, without repeating it."""
    try:
        user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
    except (ValueError, binascii.Error):
        raise Invalid("auth is no base64 of user:password") from None
    if not colon:
        raise Invalid("auth is no base64 of user:password")
    return user, password.strip("\0")


def default_files(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Where Docker, podman and the kubelet look."""
    home = Path(environment.get("HOME") or "/root")
    runtime = environment.get("XDG_RUNTIME_DIR", "/run")
    named = environment.get("REGISTRY_AUTH_FILE")
    return (
        *((Path(named),) if named else ()),
        Path(runtime) / "containers/auth.json",
        home / ".config/containers/auth.json",
        Path(environment.get("DOCKER_CONFIG") or home / ".docker") / "config.json",
        Path("/var/lib/kubelet/config.json"),
    )


def find(registry: str, repository: str, files: Iterable[Path]) -> Credentials:
    """The first that fits; the most specific entry of a file counts. A file that is damaged is said and left out."""
    for path in files:
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise ValueError(f"more than {MAX_FILE_BYTES} bytes")
            document = json.loads(path.read_text())
            found = _in_file(document, registry, repository) if isinstance(document, dict) else NOBODY
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError, Invalid) as error:
            kind = type(error).__name__ if isinstance(error, json.JSONDecodeError) else str(error)
            structlog.get_logger("knarr.images").warning("credentials not read", file=str(path), error=kind)
            continue
        if found:
            return found
    return NOBODY


def among(known: Mapping[str, Credentials], name: str) -> Credentials:
    """Those for an image by its full name, of what is given by registry (or repository). NOBODY if there are none."""
    registry, _, rest = name.partition("/")
    repository = rest.partition("@")[0].partition(":")[0]
    return next((known[key] for key in _keys(registry, repository) if key in known), NOBODY)


def _in_file(document: dict[str, Any], registry: str, repository: str) -> Credentials:
    keys = _keys(registry, repository)
    helpers = document.get("credHelpers") or {}
    auths = document.get("auths") or {}
    for key in keys:
        if isinstance(helpers, dict) and isinstance(helpers.get(key), str):
            return _ask(helpers[key], key)
    for key in keys:
        entry = auths.get(key) if isinstance(auths, dict) else None
        if isinstance(entry, dict) and entry:
            return given(
                str(entry.get("username") or ""),
                str(entry.get("password") or ""),
                str(entry.get("auth") or ""),
                str(entry.get("identitytoken") or ""),
                str(entry.get("registrytoken") or ""),
            )
    store = document.get("credsStore")
    return _ask(store, keys[-1] if registry != DOCKER_HUB else HUB_KEYS[0]) if isinstance(store, str) else NOBODY


def _keys(registry: str, repository: str) -> tuple[str, ...]:
    """Most specific first: containers' files name repositories, too."""
    parts = repository.split("/")
    paths = [f"{registry}/{'/'.join(parts[:end])}" for end in range(len(parts), 0, -1)]
    hosts = HUB_KEYS if registry == DOCKER_HUB else (registry,)
    urls = [f"{scheme}://{host}{end}" for host in hosts for scheme in ("https", "http") for end in ("", "/v1/", "/v2/")]
    return (*paths, *urls, *hosts)


def _ask(helper: str, server: str) -> Credentials:
    """A credential helper; asked over standard input, so that nothing is in its arguments. Raises Invalid, OSError."""
    if not HELPER.fullmatch(helper):
        raise Invalid(f"credential helper {helper[:60]!r} is no name")
    program = shutil.which(f"docker-credential-{helper}")
    if program is None:
        raise Invalid(f"credential helper docker-credential-{helper} is not on PATH")
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=HELPER_S,
            check=False,
            env={**os.environ},
        )
    except subprocess.TimeoutExpired:
        raise Invalid(f"credential helper docker-credential-{helper} took longer than {HELPER_S:g} s") from None
    if done.returncode != 0:
        return NOBODY  # it knows nothing of this server
    document = json.loads(done.stdout[:MAX_FILE_BYTES])
    user, secret = str(document.get("Username", "")), str(document.get("Secret", ""))
    return Credentials(identity_token=secret) if user == "<token>" else Credentials(username=user, password=secret)
