"""Where the cluster is and who we are: the kubeconfig file.

The standard file, as ``kubectl`` reads it: ``current-context`` names a context, that a cluster and a user. Read are
``server`` (``https://host:port``), ``certificate-authority``, ``client-certificate``, ``client-key``, each as a file or
inline as ``…-data`` (inline wins), ``tls-server-name``, and the context's ``namespace``. Instead of a certificate a
user may have a ``token`` of a ServiceAccount; the port is then the one after the API's, where nodes join. A cluster may
name more servers of itself in an extension, which other programs ignore:

.. code-block:: yaml

    clusters:
    - name: prod
      cluster:
        server: https://10.0.0.1:6443
        tls-server-name: knarr
        extensions:
        - name: knarr.dev/servers
          extension: {servers: ["https://10.0.0.2:6443", "https://10.0.0.3:6443"]}
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from knarr_api import errors

SERVERS_EXTENSION = "knarr.dev/servers"
DEFAULT_PORT = 6443
BYTES_MAX = 1 << 20

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach and convince a cluster. endpoints: ``host:port``, at least one. PEM texts as bytes."""

    endpoints: tuple[str, ...]
    ca_pem: bytes
    certificate_pem: bytes = b""
    key_pem: bytes = b""
    token: str = ""
    """Of a ServiceAccount, instead of the certificate; the endpoints' port is then that for joining."""
    server_name: str = ""
    """Whom the servers' certificates must name; empty: the host that was dialled."""
    namespace: str = "default"
    context: str = ""
    cluster: str = ""
    user: str = ""

    def __repr__(self) -> str:
        return f"Access(context={self.context!r}, endpoints={self.endpoints!r})"


def find(explicit: str = "", *, fallback: Path | None = None, environment: Mapping[str, str] | None = None) -> Path:
    """The file to read: the one named, else the first of ``$KUBECONFIG``, else ``fallback``, else ``~/.kube/config``.

    Raises NotFound saying where it looked.
    """
    variables = os.environ if environment is None else environment
    if explicit:
        return Path(explicit)
    listed = [Path(entry) for entry in variables.get("KUBECONFIG", "").split(os.pathsep) if entry]
    candidates = listed or [each for each in (fallback, _home(variables)) if each is not None]
    for candidate in candidates:
        if candidate.exists():
            return candidate
    looked = ", ".join(str(candidate) for candidate in candidates)
    raise errors.NotFound(f"no kubeconfig found (looked at {looked}): set KUBECONFIG, or start a cluster with knarr up")


def load(path: Path | str, *, context: str = "") -> Access:
    """Read a file; ``context`` instead of its current one. Raises NotFound or Invalid naming the file and the field."""
    file = Path(path)
    try:
        text = file.read_bytes()
    except FileNotFoundError as error:
        raise errors.NotFound(f"{file}: no such kubeconfig") from error
    except OSError as error:
        raise errors.Invalid(f"{file}: cannot be read: {error.strerror}") from error
    if len(text) > BYTES_MAX:
        raise errors.Invalid(f"{file}: {len(text)} bytes are too many for a kubeconfig")
    try:
        document = yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise errors.Invalid(f"{file}: not YAML: {_place(error)}") from error
    return _Reader(file, document).access(context)


class _Reader:
    """Reads one document; every complaint names the file and the field."""

    def __init__(self, file: Path, document: Any) -> None:
        self._file = file
        if not isinstance(document, Mapping):
            raise errors.Invalid(f"{file}: a kubeconfig is a mapping, not {type(document).__name__}")
        self._document = document

    def access(self, context: str) -> Access:
        name = context or self._text(self._document, "current-context", "current-context")
        chosen, at = self._named("contexts", name, "context")
        cluster_name = self._text(chosen, "cluster", f"{at}.cluster")
        user_name = self._text(chosen, "user", f"{at}.user")
        cluster, cluster_at = self._named("clusters", cluster_name, "cluster")
        user, user_at = self._named("users", user_name, "user")
        token = self._text(user, "token", f"{user_at}.token", required=False)
        return Access(
            token=token,
            endpoints=self._endpoints(cluster, cluster_at),
            ca_pem=self._pem(cluster, "certificate-authority", cluster_at),
            certificate_pem=b"" if token else self._pem(user, "client-certificate", user_at),
            key_pem=b"" if token else self._pem(user, "client-key", user_at),
            server_name=self._text(cluster, "tls-server-name", f"{cluster_at}.tls-server-name", required=False),
            namespace=self._text(chosen, "namespace", f"{at}.namespace", required=False) or "default",
            context=name,
            cluster=cluster_name,
            user=user_name,
        )

    def _named(self, section: str, name: str, inner: str) -> tuple[Mapping[str, Any], str]:
        entries = self._document.get(section) or ()
        if not isinstance(entries, list | tuple):
            raise self._wrong(section, "must be a list")
        known = []
        for index, entry in enumerate(entries):
            if not isinstance(entry, Mapping):
                raise self._wrong(f"{section}[{index}]", "must be a mapping")
            known.append(str(entry.get("name")))
            if entry.get("name") == name:
                value = entry.get(inner) or {}
                if not isinstance(value, Mapping):
                    raise self._wrong(f"{section}[{index}].{inner}", "must be a mapping")
                return value, f"{section}[{index}].{inner}"
        raise self._wrong(section, f'has no "{name}" (there is {", ".join(known) or "none at all"})')

    def _endpoints(self, cluster: Mapping[str, Any], at: str) -> tuple[str, ...]:
        servers = [self._endpoint(self._text(cluster, "server", f"{at}.server"), f"{at}.server")]
        for index, extension in enumerate(cluster.get("extensions") or ()):
            where = f"{at}.extensions[{index}]"
            if isinstance(extension, Mapping) and extension.get("name") == SERVERS_EXTENSION:
                content = extension.get("extension")
                listed = content.get("servers") if isinstance(content, Mapping) else None
                if not isinstance(listed, list):
                    raise self._wrong(f"{where}.extension.servers", "must be a list")
                servers += [self._endpoint(str(each), f"{where}.extension.servers") for each in listed]
        return tuple(dict.fromkeys(servers))

    def _endpoint(self, server: str, at: str) -> str:
        try:
            parts = urlsplit(server if "//" in server else f"https://{server}")
            host, port = parts.hostname, parts.port or DEFAULT_PORT
        except ValueError as error:
            raise self._wrong(at, f'"{server}" is not an address: {error}') from error
        if parts.scheme != "https":
            raise self._wrong(at, f'"{server}" must begin with https://: nothing is served without TLS')
        if not host:
            raise self._wrong(at, f'"{server}" names no host')
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def _pem(self, section: Mapping[str, Any], field: str, at: str) -> bytes:
        inline = self._text(section, f"{field}-data", f"{at}.{field}-data", required=False)
        if inline:
            where = f"{at}.{field}-data"
            try:
                content = base64.b64decode("".join(inline.split()), validate=True)
            except (binascii.Error, ValueError) as error:
                raise self._wrong(where, f"is not base64: {error}") from error
        else:
            where = f"{at}.{field}"
            named = self._text(section, field, where, required=False)
            if not named:
                raise self._wrong(where, f"is missing (and {field}-data as well)")
            file = self._file.parent / Path(named).expanduser()
            try:
                content = file.read_bytes()
            except OSError as error:
                raise self._wrong(where, f"{file} cannot be read: {error.strerror}") from error
        if b"-----BEGIN " not in content:
            raise self._wrong(where, "is not in PEM form")
        return content

    def _text(self, section: Mapping[str, Any], name: str, at: str, *, required: bool = True) -> str:
        value = section.get(name)
        if value in (None, ""):
            if required:
                raise self._wrong(at, "is missing")
            return ""
        if not isinstance(value, str):
            raise self._wrong(at, f"must be a text, not {value!r}")
        return value

    def _wrong(self, field: str, what: str) -> errors.Invalid:
        return errors.Invalid(f"{self._file}: {field}: {what}")


def _home(variables: Mapping[str, str]) -> Path | None:
    home = variables.get("HOME")
    return Path(home) / ".kube" / "config" if home else None


def _place(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark is not None else problem
