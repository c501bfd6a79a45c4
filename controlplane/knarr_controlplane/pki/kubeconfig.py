"""Writing a standard kubeconfig file, as kubectl and client libraries read it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from knarr_client.kubeconfig import SERVERS_EXTENSION
from knarr_controlplane.pki.authority import KeyPair, write_private


def write(path: Path, *, servers: Sequence[str], ca_pem: bytes, user: str, credentials: KeyPair) -> None:
    """One cluster, one user, one context, all named ``knarr``; readable by the owner only.

    servers: ``host:port`` of every control plane. The format knows only one: the others stand in an extension.
    """
    cluster: dict[str, Any] = {"server": f"https://{servers[0]}", "certificate-authority-data": _base64(ca_pem)}
    if len(servers) > 1:
        others = [f"https://{server}" for server in servers[1:]]
        cluster["extensions"] = [{"name": SERVERS_EXTENSION, "extension": {"servers": others}}]
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "knarr", "cluster": cluster}],
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
