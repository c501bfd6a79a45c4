"""Images that are not here yet."""

from __future__ import annotations

from typing import Any

import click

from knarr_proto.cri import api_pb2 as cri
from knarr_proto.runtime.v1 import images_pb2
from knarr_runtime.cli.output import Transfer
from knarr_runtime.cli.session import QUICK_S, Session
from knarr_runtime.errors import Invalid


def ensure_image(connected: Session, image: str, policy: str, platform: str = "", *, quiet: bool = False) -> None:
    """Pulls the image where the policy says so. Raises Invalid when it is missing and must not be pulled."""
    request = cri.ImageStatusRequest(image=cri.ImageSpec(image=image))
    there = bool(connected.cri_images.ImageStatus(request, timeout=QUICK_S).image.id)
    if there and policy != "always":
        return
    if policy == "never":
        raise Invalid(f"No such image: {image}")
    if not there and not quiet:
        click.echo(f"Unable to find image '{image}' locally", err=True)
    pull_image(connected, image, platform, quiet=quiet)


def pull_image(connected: Session, image: str, platform: str = "", *, quiet: bool = False, auth: Any = None) -> Any:
    """The TransferResult."""
    result = None
    with Transfer(quiet=quiet) as shown:
        for message in connected.images.Pull(images_pb2.PullRequest(image=image, platform=platform, auth=auth)):
            shown.take(message)
            if message.HasField("result"):
                result = message.result
    return result
