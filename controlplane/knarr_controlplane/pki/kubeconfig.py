"""Writing a standard kubeconfig file, as kubectl and client libraries read it."""

from __future__ import annotations

import base64
from pathlib import Path

import yaml

from knarr_controlplane.pki.authority import KeyPair, write_private


def write(path: Path, *, server: str, ca_pem: bytes, user: str, credentials: KeyPair) -> None:
    """One cluster, one user, one context, all named ``knarr``; readable by the owner only. server: ``host:port``."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "knarr",
                "cluster": {"server": f"https://{server}", "certificate-authority-data": _base64(ca_pem)},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _base64(credentials.certificate),
                    "client-key-data": _base64(credentials.key),
                },
            }
        ],
        "contexts": [{"name": "knarr", "context": {"cluster": "knarr", "user": user}}],
        "current-context": "knarr",
    }
    write_private(path, yaml.safe_dump(document, sort_keys=False).encode())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
