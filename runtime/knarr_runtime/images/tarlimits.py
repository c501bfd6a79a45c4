"""Reading tars of strangers: what the standard library reads whole into memory, or believes, is limited first.

Extended headers count together, so that a chain of them costs no more than one; sparse maps are read only so far and
must cover their file in order, since the library would search for what they leave out for ever; a size below nothing
would lead back to what was read already. Members are not kept. Source: POSIX.1-2008 pax; GNU tar manual, "Storing
Sparse Files".
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from typing import IO, Any

from knarr_runtime.errors import Invalid

MAX_HEADER_BYTES = 1 << 20
"""Of what precedes one entry; of all global headers together; of one map of a sparse file."""
MAX_HEADERS = 16
_LONG = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_NONSENSE = (ValueError, OverflowError, LookupError, RecursionError)
"""What the library raises for numbers that are none, texts that are cut and headers on headers."""


class _Map:
    """What of an archive a map of a sparse file may take."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._left = MAX_HEADER_BYTES

    def read(self, size: int) -> bytes:
        self._left -= size
        if self._left < 0:
            raise tarfile.ReadError(f"the map of a sparse file has more than {MAX_HEADER_BYTES} bytes")
        data: bytes = self._file.read(size)
        return data

    def tell(self) -> int:
        position: int = self._file.tell()
        return position


class _Entry(tarfile.TarInfo):
    """Refuses long names, extended headers and maps beyond the limit, before they are read."""

    def _proc_member(self, archive: Any) -> Any:
        if self.size < 0:
            raise tarfile.ReadError(f'"{self.name[:200]}" has a size of {self.size} bytes')
        if self.type in _LONG:
            archive.count(self.size, everywhere=self.type == tarfile.XGLTYPE)
        return super()._proc_member(archive)  # type: ignore[misc]

    def _proc_sparse(self, archive: Any) -> Any:
        file, archive.fileobj = archive.fileobj, _Map(archive.fileobj)
        try:
            return super()._proc_sparse(archive)  # type: ignore[misc]
        finally:
            archive.fileobj = file

    def _proc_gnusparse_10(self, following: Any, pax_headers: Any, archive: Any) -> None:
        file, archive.fileobj = archive.fileobj, _Map(archive.fileobj)
        try:
            super()._proc_gnusparse_10(following, pax_headers, archive)  # type: ignore[misc]
        finally:
            archive.fileobj = file


class _Archive(tarfile.TarFile):
    tarinfo = _Entry
    members: list[tarfile.TarInfo]
    _headers = 0
    _header_bytes = 0
    _global_bytes = 0

    def count(self, size: int, *, everywhere: bool) -> None:
        """One more header that is read whole. Raises ReadError when it is one too many."""
        self._headers += 1
        self._header_bytes += size
        self._global_bytes += size if everywhere else 0
        if max(self._header_bytes, self._global_bytes) > MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size} bytes; at most {MAX_HEADER_BYTES} are read")
        if self._headers > MAX_HEADERS:
            raise tarfile.ReadError(f"more than {MAX_HEADERS} headers before one entry")

    def next(self) -> tarfile.TarInfo | None:
        self._headers = self._header_bytes = 0
        try:
            entry = super().next()
        except Invalid:  # the source's own limits
            raise
        except _NONSENSE as error:
            raise tarfile.ReadError(f"a header that makes no sense: {str(error)[:200]}") from None
        self.members.clear()
        if entry is not None:
            _check(entry)
        return entry


def _check(entry: Any) -> None:
    if entry.size < 0:
        raise tarfile.ReadError(f'"{entry.name[:200]}" has a size of {entry.size} bytes')
    if entry.sparse is None:
        return
    end = 0
    for offset, size in entry.sparse:
        if offset < end or size < 0:
            raise tarfile.ReadError(f'"{entry.name[:200]}" has a sparse map without order')
        end = offset + size
    if end > entry.size:
        raise tarfile.ReadError(f'"{entry.name[:200]}" has a sparse map beyond its {entry.size} bytes')


def open_stream(source: IO[bytes]) -> tarfile.TarFile:
    """An uncompressed tar, read once from its beginning to its end. Raises tarfile.TarError."""
    return _Archive.open(fileobj=source, mode="r|")


def open_archive(source: IO[bytes]) -> tarfile.TarFile:
    """An uncompressed tar that can be sought in. Raises tarfile.TarError."""
    return _Archive.open(fileobj=source, mode="r:")


def entries(archive: tarfile.TarFile, limit: int, what: str) -> Iterator[tarfile.TarInfo]:
    """All of them. Raises tarfile.TarError, also when there are more than ``limit``."""
    count = 0
    while (entry := archive.next()) is not None:
        count += 1
        if count > limit:
            raise tarfile.ReadError(f"{what} has more than {limit} entries")
        yield entry
