"""A backup is read as it was written, or refused: never taken for what it is not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knarr_api.errors import Invalid, KnarrError, NotFound
from knarr_controlplane.backup import archive
from tests.unit.knarr_controlplane.backup.written import ORIGIN, write

VALUES = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3).map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"1.50", b' {"a": 1}', b'{"a":\n1}', b"null", b'"\\u00e9"', b"[1e400]", b"\xff", b" "]),
)


def pods(count: int) -> dict[str, bytes]:
    return {f"/registry/core/pods/default/p{i:04}": json.dumps({"n": i}).encode() for i in range(count)}


@given(st.lists(VALUES, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
def test_every_value_comes_back_byte_by_byte(tmp_path: Path, values: list[bytes]) -> None:
    objects = {f"/registry/core/configmaps/default/{i}": value for i, value in enumerate(values)}
    path, revision = write(tmp_path, objects)
    manifest = archive.verify(path)
    assert dict(archive.entries(path)) == objects
    assert (manifest.objects, manifest.revision, manifest.cluster_id) == (len(objects), revision, ORIGIN)
    assert archive.keys(path) == {name: name.encode() for name in archive.PKI}


def test_it_counts_what_is_in_it_over_many_parts(tmp_path: Path) -> None:
    path, _ = write(tmp_path, {**pods(1203), "/registry/apps/deployments/default/web": b"{}"})
    manifest = archive.verify(path)
    assert manifest.kinds == {"core/pods": 1203, "apps/deployments": 1}
    assert sum(name.startswith("store/") for name in manifest.members) == 3


def test_tar_and_zstd_read_it(tmp_path: Path) -> None:
    path, _ = write(tmp_path, pods(2))
    listed = subprocess.run(["tar", "--zstd", "-tf", path], capture_output=True, text=True, check=True).stdout.split()
    assert listed == ["format", *(f"pki/{name}" for name in archive.PKI), "store/00000.jsonl", "manifest.json"]
    shown = subprocess.run(["tar", "--zstd", "-xOf", path, "store/00000.jsonl"], capture_output=True, check=True)
    assert [json.loads(line)["value"] for line in shown.stdout.splitlines()] == [{"n": 0}, {"n": 1}]


def test_cut_off_anywhere_it_is_refused(tmp_path: Path) -> None:
    path, _ = write(tmp_path, pods(30))
    data = path.read_bytes()
    for size in [*range(0, len(data), 7), len(data) - 1]:
        path.write_bytes(data[:size])
        with pytest.raises(Invalid, match=str(path)):
            archive.verify(path)


def test_a_changed_byte_anywhere_is_seen(tmp_path: Path) -> None:
    path, _ = write(tmp_path, pods(30))
    data = path.read_bytes()
    for at in range(0, len(data), 3):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x41]) + data[at + 1 :])
        with pytest.raises(KnarrError):
            archive.verify(path)


@pytest.mark.parametrize("content", [b"", b"nothing of the kind", b"\x28\xb5\x2f\xfd", bytes(5000)])
def test_other_files_are_no_backups(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(Invalid, match=r"/x\b"):
        archive.verify(path)


def test_other_archives_are_no_backups(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    subprocess.run(["tar", "--zstd", "-cf", tmp_path / "x", "-C", tmp_path, "file"], check=True)
    with pytest.raises(Invalid, match="no backup"):
        archive.verify(tmp_path / "x")


def test_a_newer_format_is_named(tmp_path: Path) -> None:
    path, _ = write(tmp_path, {})
    writer, manifest = archive.Writer(), archive.verify(path)
    (tmp_path / "x").write_bytes(writer.add("format", b"knarr-backup 2\n") + writer.finish(manifest))
    with pytest.raises(Invalid, match="format 2: use the Knarr that made it"):
        archive.verify(tmp_path / "x")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nothing-here not found"):
        archive.verify(tmp_path / "nothing-here")


def test_a_directory_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="is a directory, not a backup"):
        archive.verify(tmp_path)
