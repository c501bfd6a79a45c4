"""Reading tars of strangers: what the standard library reads whole into memory is limited first."""

from __future__ import annotations

import tarfile
from typing import IO, Any

MAX_HEADER_BYTES = 1 << 20
_LONG = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)


class _Entry(tarfile.TarInfo):
    """Refuses long names and extended headers beyond a mebibyte, before they are read."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _LONG and not 0 <= self.size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {self.size} bytes; at most {MAX_HEADER_BYTES} are read")
        return super()._proc_member(archive)  # type: ignore[misc]


def open_stream(source: IO[bytes]) -> tarfile.TarFile:
    """An uncompressed tar, read once from its beginning to its end. Raises tarfile.TarError."""
    return tarfile.open(fileobj=source, mode="r|", tarinfo=_Entry)


def open_archive(source: IO[bytes]) -> tarfile.TarFile:
    """A tar that can be sought in, compressed or not. Raises tarfile.TarError."""
    return tarfile.open(fileobj=source, mode="r:*", tarinfo=_Entry)
