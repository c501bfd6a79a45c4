"""Generates Python code from the .proto files: ``./dev proto``; with ``--check`` only tells whether it is up to date.

1. protobuf messages (``*_pb2.py``, ``.pyi``) and, for services, gRPC stubs (``*_pb2_grpc.py``);
2. ``knarr_api/types/*.py``, frozen value types for the Kubernetes API (see ``values.py``).
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

import grpc_tools
from google.protobuf import descriptor_pb2
from google.rpc import status_pb2
from grpc_tools import protoc

HERE = Path(__file__).resolve().parent
PROTO = HERE.parent
sys.path[:0] = [str(HERE), str(PROTO)]

import values  # noqa: E402


def generate(target: Path) -> list[Path]:
    """Write everything below ``target``, laid out as below ``proto/``; returns the relative paths."""
    sources = sorted(path.relative_to(PROTO) for path in (PROTO / "knarr_proto").rglob("*.proto"))
    with tempfile.NamedTemporaryFile(suffix=".pb") as descriptors:
        arguments = [
            "protoc",
            f"-I{PROTO}",
            f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
            f"-I{Path(status_pb2.__file__).parents[2]}",
            f"--python_out={target}",
            f"--pyi_out={target}",
            f"--grpc_python_out={target}",
            f"--descriptor_set_out={descriptors.name}",
            "--include_source_info",
            "--include_imports",
            *(str(source) for source in sources),
        ]
        if protoc.main(arguments) != 0:
            raise SystemExit("protoc failed; its messages stand above")
        files = descriptor_pb2.FileDescriptorSet.FromString(Path(descriptors.name).read_bytes())
    for source in sources:
        text = (PROTO / source).read_text()
        if "\nservice " not in text:
            (target / source).with_name(f"{source.stem}_pb2_grpc.py").unlink()
    for module, code in values.modules(files):
        path = target / "knarr_api" / "types" / f"{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code)
    return sorted(path.relative_to(target) for path in target.rglob("*") if path.is_file())


def present() -> list[Path]:
    """Generated files that are there now."""
    found = [*(PROTO / "knarr_proto").rglob("*_pb2*.py*"), *(PROTO / "knarr_api" / "types").glob("*.py")]
    return sorted(
        path.relative_to(PROTO) for path in found if path.suffix in (".py", ".pyi") and path.name != "__init__.py"
    )


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> int:
    """Exit status 1 when ``--check`` finds a difference."""
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary)
        made = generate(target)
        stale = [path for path in present() if path not in made]
        changed = [
            path
            for path in made
            if not (PROTO / path).exists() or (PROTO / path).read_bytes() != (target / path).read_bytes()
        ]
        if "--check" in sys.argv[1:]:
            for path in [*changed, *stale]:
                sys.stderr.write(f"proto/{path} is not up to date: run './dev proto'\n")
            return 1 if changed or stale else 0
        for path in changed:
            (PROTO / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / path, PROTO / path)
        for path in stale:
            (PROTO / path).unlink()
        sys.stderr.write(f"{len(made)} files, {len(changed)} changed, {len(stale)} removed\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
