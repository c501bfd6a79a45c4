"""ADD of a URL. Blocking."""

from __future__ import annotations

import contextlib
import email.utils
import hashlib
import os
import posixpath
import re
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import urllib3

from knarr_runtime.errors import Invalid, Unavailable

MAX_BYTES = 8 << 30
TIMEOUT = urllib3.Timeout(connect=20.0, read=60.0)
_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}\Z")
_CHUNK = 1 << 20


def is_url(source: str) -> bool:
    return source.startswith(("http://", "https://"))


def is_git(source: str) -> bool:
    return source.startswith(("git@", "git://", "ssh://")) or bool(re.match(r"https?://.*\.git(?:#.*)?\Z", source))


def file_name(url: str) -> str:
    """Raises Invalid when the URL has none."""
    name = posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path))
    if name in ("", ".", ".."):
        raise Invalid(f'"{url}": cannot determine a file name from the URL; give the destination one')
    return name


def fetch(url: str, checksum: str, target: Path, cancelled: Callable[[], bool]) -> None:
    """To ``target``, mode 0600, with the server's time. Raises Invalid, Unavailable."""
    if checksum and not _CHECKSUM.match(checksum):
        raise Invalid(f'--checksum="{checksum}": must be sha256: and 64 hexadecimal digits')
    digest = hashlib.sha256()
    size = 0
    try:
        with urllib3.PoolManager(timeout=TIMEOUT, retries=urllib3.Retry(3, redirect=10)) as pool:
            answer = pool.request("GET", url, preload_content=False, headers={"Accept-Encoding": "identity"})
            if answer.status != 200:
                raise Invalid(f"{url}: the server answered {answer.status} {answer.reason or ''}".rstrip())
            with open(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                for block in answer.stream(_CHUNK, decode_content=False):
                    size += len(block)
                    if size > MAX_BYTES or cancelled():
                        raise Invalid(f"{url}: has more than {MAX_BYTES} bytes")
                    digest.update(block)
                    file.write(block)
            modified_s = _modified_s(answer.headers.get("Last-Modified", ""))
    except urllib3.exceptions.HTTPError as error:
        raise Unavailable(f"{url}: {error}") from error
    if checksum and checksum != f"sha256:{digest.hexdigest()}":
        raise Invalid(f"{url}: digest mismatch sha256:{digest.hexdigest()}: {checksum}")
    os.utime(target, (modified_s, modified_s))


def _modified_s(text: str) -> float:
    with contextlib.suppress(ValueError, OverflowError):
        return max(email.utils.parsedate_to_datetime(text).timestamp(), 0.0)
    return 0.0
