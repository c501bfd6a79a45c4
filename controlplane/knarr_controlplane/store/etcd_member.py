"""``python -m knarr_controlplane.store.etcd_member``: one member of a local etcd, for several control planes to share.

It writes the certificates, which need the cluster's CA, and becomes the ``etcd`` found on PATH. With ``--prepare`` it
only makes the keys: the CA where there is none, and ``etcd/`` beside it, with which control planes connect.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from knarr_api.errors import KnarrError, Unavailable
from knarr_client.clock import SystemClock
from knarr_controlplane.pki.authority import Authority
from knarr_controlplane.registry.storage import Storage
from knarr_controlplane.store.etcd_process import EtcdTls, arguments, check_version


def prepare(pki: Path) -> None:
    """Keys for control planes and their connections to etcd."""
    now = SystemClock().now()
    authority = Authority.open(pki, now)
    Storage.open(pki / "secrets.key")
    authority.etcd(now, pki / "etcd", "client")


def main() -> None:
    """Does not return unless with ``--prepare``. Exit status 1 with one message when etcd can't be started."""
    parser = argparse.ArgumentParser(prog="knarr-etcd", description="A member of a local etcd.")
    parser.add_argument("--pki", type=Path, required=True, help="the cluster's keys")
    parser.add_argument("--prepare", action="store_true", help="only make the keys")
    parser.add_argument("--data-dir", type=Path, help="of this member")
    parser.add_argument("--name", default="knarr")
    parser.add_argument("--client-port", type=int, default=0)
    parser.add_argument("--peer-port", type=int, default=0)
    parser.add_argument("--cluster", default="", metavar="NAME=PORT,…", help="peer ports of all members")
    parser.add_argument("extra", nargs="*", help="further arguments of etcd, after --")
    given = parser.parse_args()
    try:
        if given.prepare:
            prepare(given.pki)
            return
        program = shutil.which("etcd")
        if program is None:
            raise Unavailable("etcd is not on PATH: install it (Debian: apt install etcd-server)")
        check_version(program)
        now = SystemClock().now()
        ca, certificate, key = Authority.open(given.pki, now).etcd(now, given.data_dir)
        pairs = [pair.partition("=")[::2] for pair in given.cluster.split(",") if pair]
        words = arguments(
            given.data_dir / "data",
            EtcdTls(ca=ca, certificate=certificate, key=key),
            name=given.name,
            client_port=given.client_port,
            peer_port=given.peer_port,
            members={name: int(port) for name, port in pairs},
        )
    except (KnarrError, OSError) as error:
        sys.stderr.write(f"knarr-etcd: {error}\n")
        raise SystemExit(1) from None
    os.execv(program, [program, *words, *given.extra])


if __name__ == "__main__":
    main()
