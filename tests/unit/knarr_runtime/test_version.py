"""The version names the code that zygote, shims and log reader run, all of it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import knarr_runtime
from knarr_runtime.zygote import version

PACKAGE = Path(knarr_runtime.__path__[0])


def test_everything_the_zygote_imports_counts() -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r}); import knarr_runtime.zygote.main;"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('knarr_runtime.')))"
    )
    command = [sys.executable, "-I", "-S", "-E", "-c", program]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    assert loaded
    for file in loaded:
        assert Path(file).relative_to(PACKAGE).parts[0] in version.PARTS


def test_a_changed_file_is_another_version_and_a_copy_is_not(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(PACKAGE, copy)
    assert version.of(copy) == version.of(PACKAGE)
    with (copy / "shim/main.py").open("a") as file:
        file.write("#\n")
    assert version.of(copy) != version.of(PACKAGE)
