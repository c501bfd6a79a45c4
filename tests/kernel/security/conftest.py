"""The launcher of the runtime's tests, and programs in Python inside of containers: the host's, bound read-only."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from knarr_runtime.spec import Mount
from tests.kernel.runtime.conftest import Runtime, lower, pod, runtime, workspace

__all__ = ["lower", "pod", "runtime", "workspace"]
PYTHON = "/usr/bin/python3"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.root)
            if os.geteuid() != 0:
                item.add_marker(pytest.mark.skip(reason="needs root"))


class Inside:
    """Runs Python in containers of ``pod``."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.mounts = tuple(
            Mount(source=source, target=target, readonly=True)
            for source, target in (("/usr", "/usr"), ("/usr/lib", "/lib"), ("/usr/lib64", "/lib64"))
            if os.path.isdir(source)
        )

    async def python(self, program: str, **changes: Any) -> str:
        """Its output; it must end well."""
        mounts = (*self.mounts, *changes.pop("mounts", ()))
        ended, output = await self.runtime.run(PYTHON, "-I", "-S", "-c", program, mounts=mounts, **changes)
        assert ended.exit_code == 0, output
        return output

    async def begin(self, program: str, **changes: Any) -> str:
        mounts = (*self.mounts, *changes.pop("mounts", ()))
        return await self.runtime.begin(PYTHON, "-I", "-S", "-c", program, mounts=mounts, **changes)


@pytest.fixture
def inside(pod: Runtime) -> Inside:
    return Inside(pod)
