"""A verb that knows Docker's options: one that is not supported is refused by name, with what to do instead."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

NOT_SUPPORTED: Mapping[str, str] = {
    "--blkio-weight": "the io controller is not used",
    "--blkio-weight-device": "the io controller is not used",
    "--cgroup-parent": "containers lie below the daemon's cgroup",
    "--cgroupns": "a container always has a cgroup namespace of its own",
    "--cpu-count": "it is for Windows",
    "--cpu-percent": "it is for Windows",
    "--cpu-period": "write --cpus",
    "--cpu-quota": "write --cpus",
    "--cpu-rt-period": "real-time scheduling of groups is not used",
    "--cpu-rt-runtime": "real-time scheduling of groups is not used",
    "--device-cgroup-rule": "write --device",
    "--device-read-bps": "the io controller is not used",
    "--device-read-iops": "the io controller is not used",
    "--device-write-bps": "the io controller is not used",
    "--device-write-iops": "the io controller is not used",
    "--disable-content-trust": "images are verified against their digests; signatures are not looked at",
    "--domainname": "write --hostname NAME.DOMAIN",
    "--expose": "all ports of a container can be reached by its address; write -p for one of the host",
    "--gpus": "write --device",
    "--health-cmd": "nothing looks after a container's health; Kubernetes' probes do in a cluster",
    "--health-interval": "nothing looks after a container's health",
    "--health-retries": "nothing looks after a container's health",
    "--health-start-interval": "nothing looks after a container's health",
    "--health-start-period": "nothing looks after a container's health",
    "--health-timeout": "nothing looks after a container's health",
    "--ip": "addresses are chosen by the daemon",
    "--ip6": "containers have IPv4 addresses only",
    "--isolation": "it is for Windows",
    "--kernel-memory": "the kernel counts it with --memory",
    "--label-file": "write --label",
    "--link": "write --network container:NAME, or use addresses",
    "--link-local-ip": "addresses are chosen by the daemon",
    "--log-driver": "logs are files in CRI's format, below /var/log/knarr-runtime",
    "--log-opt": "logs are files in CRI's format, below /var/log/knarr-runtime",
    "--mac-address": "it is chosen by the kernel",
    "--memory-reservation": "write --memory",
    "--memory-swappiness": "write --memory-swap",
    "--network-alias": "there is no DNS for containers",
    "--no-healthcheck": "nothing looks after a container's health anyway",
    "--oom-kill-disable": "it makes machines hang",
    "--publish-all": "write -p PORT for each",
    "-P": "write -p PORT for each",
    "--runtime": "there is one",
    "--storage-opt": "the writable layer is not limited",
    "--volume-driver": "volumes are directories of this machine",
    "--volumes-from": "write -v NAME:PATH for each volume",
}


class Verb(click.Command):
    """Names are those of Docker's options; what fails before anything is tried ends with 125, as Docker's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            reason = NOT_SUPPORTED.get(error.option_name)
            if reason is None:
                raise
            raise click.UsageError(f"{error.option_name} is not supported: {reason}", ctx) from None


def verb(**settings: Any) -> Callable[[Callable[..., Any]], Verb]:
    """click.command with Docker's way of failing."""
    return click.command(cls=Verb, **settings)
