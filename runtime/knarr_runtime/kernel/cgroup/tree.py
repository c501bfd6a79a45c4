"""One hierarchy's directories below an open base, for v1 and v2 alike."""

from __future__ import annotations

import errno
import os


class Tree:
    """Files and directories relative to ``base``, which must exist."""

    def __init__(self, base: str) -> None:
        self.base = base
        self._fd = os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def descriptor(self) -> int:
        return self._fd

    def make(self, path: str) -> list[str]:
        """Makes ``path`` and its parents; returns the new ones, outermost first."""
        made: list[str] = []
        parts = path.split("/")
        try:
            os.mkdir(path, 0o755, dir_fd=self._fd)
            return [path]
        except FileExistsError:
            return []
        except FileNotFoundError:
            for end in range(1, len(parts) + 1):
                try:
                    os.mkdir("/".join(parts[:end]), 0o755, dir_fd=self._fd)
                except FileExistsError:
                    continue
                made.append("/".join(parts[:end]))
        return made

    def open(self, path: str, flags: int = os.O_RDONLY | os.O_DIRECTORY) -> int:
        return os.open(path or ".", flags | os.O_CLOEXEC, dir_fd=self._fd)

    def exists(self, path: str) -> bool:
        try:
            os.stat(path or ".", dir_fd=self._fd)
        except FileNotFoundError:
            return False
        return True

    def write(self, path: str, name: str, value: str) -> None:
        """Writes a control file. Raises OSError naming file and value."""
        target = f"{path}/{name}" if path else name
        try:
            fd = os.open(target, os.O_WRONLY | os.O_CLOEXEC, dir_fd=self._fd)
            try:
                os.write(fd, value.encode())
            finally:
                os.close(fd)
        except OSError as error:
            raise OSError(error.errno, os.strerror(error.errno or 0), f"{target} = {value!r}") from error

    def read(self, path: str, name: str) -> str | None:
        """A control file's text; None if file or cgroup is missing."""
        try:
            fd = os.open(f"{path}/{name}" if path else name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._fd)
        except FileNotFoundError:
            return None
        try:
            parts = []
            while part := os.read(fd, 65536):
                parts.append(part)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.EOPNOTSUPP):  # removed meanwhile; not of this type
                return None
            raise
        finally:
            os.close(fd)
        return b"".join(parts).decode("utf-8", "replace")

    def below(self, path: str) -> list[str]:
        """``path`` and every cgroup below it, innermost first; empty if it does not exist."""
        try:
            fd = self.open(path)
        except FileNotFoundError:
            return []
        try:
            with os.scandir(fd) as entries:
                names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        finally:
            os.close(fd)
        result: list[str] = []
        for name in names:
            result += self.below(f"{path}/{name}" if path else name)
        return [*result, path]

    def processes(self, path: str, file: str = "cgroup.procs") -> list[int]:
        pids: list[int] = []
        for each in self.below(path):
            pids += map(int, (self.read(each, file) or "").split())
        return pids

    def remove(self, path: str) -> bool:
        """Removes ``path`` with everything below; False if processes are still in it."""
        try:
            os.rmdir(path or self.base, dir_fd=self._fd)
            return True
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno not in (errno.EBUSY, errno.ENOTEMPTY):
                raise
        for each in self.below(path):
            try:
                if each:
                    os.rmdir(each, dir_fd=self._fd)
                else:
                    os.rmdir(self.base)
            except FileNotFoundError:
                continue
            except OSError as error:
                if error.errno != errno.EBUSY:
                    raise
                return False
        return True
