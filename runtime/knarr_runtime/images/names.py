"""Names of images. Source: Docker's reference grammar; ``busybox`` is ``docker.io/library/busybox:latest``."""

from __future__ import annotations

import re

from knarr_runtime.errors import Invalid

DOMAIN = re.compile(
    r"(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*)(?::\d+)?"
)
PATH = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MAX_LENGTH = 255


def normalise(text: str) -> str:
    """The full name. Raises Invalid, naming what is wrong."""
    if not text or len(text) > MAX_LENGTH + 80:
        raise Invalid(f'image name "{text[:80]}": must have 1 to {MAX_LENGTH} characters')
    name, at, digest = text.partition("@")
    if at and not DIGEST.fullmatch(digest):
        raise Invalid(f'image name "{text}": the digest must be sha256: and 64 hexadecimal digits')
    head, slash, rest = name.partition("/")
    if slash and ("." in head or ":" in head or head == "localhost"):
        domain, path = head, rest
    else:
        domain, path = "docker.io", name
    path, colon, tag = path.partition(":")
    if domain in ("docker.io", "index.docker.io") and "/" not in path:
        domain, path = "docker.io", f"library/{path}"
    if not DOMAIN.fullmatch(domain):
        raise Invalid(f'image name "{text}": "{domain}" is no registry')
    if not PATH.fullmatch(path):
        raise Invalid(f'image name "{text}": couldn\'t parse image name: the repository name must be lowercase')
    if colon and not TAG.fullmatch(tag):
        raise Invalid(f'image name "{text}": "{tag}" is no tag')
    if at:
        return f"{domain}/{path}@{digest}"
    return f"{domain}/{path}:{tag or 'latest'}"
