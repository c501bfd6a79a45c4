"""Manifests are checked before anything is sent, and problems are named by their place."""

from __future__ import annotations

from pathlib import Path

import pytest

from knarr_cli.manifests import Refused, read

GOOD = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {k: v}\n"


def problems(tmp_path: Path, text: str) -> list[str]:
    file = tmp_path / "m.yaml"
    file.write_text(text)
    with pytest.raises(Refused) as caught:
        read((str(file),))
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


def test_documents_lists_and_directories(tmp_path: Path) -> None:
    (tmp_path / "b.yaml").write_text(f"---\n---\n{GOOD}")
    (tmp_path / "a.json").write_text(
        '{"apiVersion": "v1", "kind": "List", "items": '
        '[{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}]}'
    )
    (tmp_path / "ignored.txt").write_text("not: [yaml")
    assert [(m.kind.kind, m.name) for m in read((str(tmp_path),))] == [("Namespace", "n"), ("ConfigMap", "a")]


def test_several_files_in_one_word(tmp_path: Path) -> None:
    for name in ("a", "b", "c,d"):
        (tmp_path / name).write_text(GOOD.replace("name: a", f"name: {name[0]}"))
    found = read((f"{tmp_path}/a,{tmp_path}/b", f"{tmp_path}/c,d"))
    assert [manifest.name for manifest in found] == ["a", "b", "c"]
    with pytest.raises(Refused, match=r"https://a/b\.yaml: URLs are not read"):
        read(("https://a/b.yaml",))


def test_every_problem_of_every_document_is_named(tmp_path: Path) -> None:
    text = (
        f"{GOOD}---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: d\nspec:\n  replicas: three\n"
        "  template:\n    spec:\n      containers:\n        - name: c\n          imagePullPolice: Always\n"
        "---\nkind: Pod\nmetadata: {name: x}\n"
    )
    found = problems(tmp_path, text)
    assert any(p.startswith("m.yaml:11:3: spec.replicas: expected integer") for p in found), found
    assert any("m.yaml:16:11" in p and "did you mean imagePullPolicy?" in p for p in found), found
    assert any(p == "m.yaml:18:1: apiVersion: Required value" for p in found), found


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\n", "m.yaml:2:1: not YAML"),
        ("a: 1\na: 2\n", 'm.yaml:2:1: key "a" is there twice'),
        ("- 1\n", "m.yaml:1:1: expected an object"),
        ("apiVersion: v1\nkind: Pood\nmetadata: {name: x}\n", 'm.yaml:2:1: no matches for kind "Pood" in version "v1"'),
        ("apiVersion: v1\nkind: ConfigMap\n", "metadata.name: Required value"),
        ("", "no objects found"),
    ],
)
def test_malformed_documents(tmp_path: Path, text: str, said: str) -> None:
    assert any(said in problem for problem in problems(tmp_path, text))


def test_alias_bombs_are_refused(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert any("aliases counted" in problem for problem in problems(tmp_path, "\n".join(lines)))


@pytest.mark.parametrize(
    "text", ["a: " + "[" * 150 + "]" * 150, "a: " + "[" * 200_000, "{a: " * 200_000, "- " * 200_000, "a: &a [*a]\n"]
)
def test_deep_nesting_is_refused(tmp_path: Path, text: str) -> None:
    assert any("nested deeper" in problem for problem in problems(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="does not exist"):
        read((str(tmp_path / "none.yaml"),))


def test_times_and_yes_stay_text(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {t: 2026-01-01, y: yes}\n")
    assert read((str(file),))[0].document["data"] == {"t": "2026-01-01", "y": "yes"}


def test_merged_keys_can_be_overridden(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels: &l {x: y, z: y}\n"
        "  annotations: {<<: *l, z: other}\n"
    )
    assert read((str(file),))[0].document["metadata"]["annotations"] == {"x": "y", "z": "other"}


def test_numbers_with_colons_stay_text(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {port: 22:22, much: 1:30.5}\n")
    assert read((str(file),))[0].document["data"] == {"port": "22:22", "much": "1:30.5"}


def test_foreign_tags_are_refused(tmp_path: Path) -> None:
    for tag in ("!!binary aGk=", "!!python/object:os.system x", "!mine x"):
        text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata:\n  k: {tag}\n"
        assert any(p.startswith("m.yaml:5:6: the tag") for p in problems(tmp_path, text))


def test_a_place_for_every_path(tmp_path: Path) -> None:
    file = tmp_path / "m.yaml"
    file.write_text(GOOD)
    (manifest,) = read((str(file),))
    assert manifest.place_of("data.k").endswith("m.yaml:4:8")
    assert manifest.place_of("metadata.labels[x]").endswith("m.yaml:3:1")
