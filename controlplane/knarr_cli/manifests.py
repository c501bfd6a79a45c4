"""Reading manifests: YAML or JSON documents with the place of every field, checked before anything is sent.

Every problem of every document is found at once and named by ``file:line:column`` and field path. Limits on size,
depth and aliases keep a hostile file from doing more than being refused.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from knarr_api import errors, json, kinds
from knarr_api.kinds import Kind

MAX_FILE_BYTES = 8 * 1024 * 1024
MAX_NODES = 200_000
MAX_DEPTH = 100
PLAIN_TAGS = frozenset({"str", "int", "float", "bool", "null", "timestamp", "value"})
ENDINGS = (".yaml", ".yml", ".json")
ORDER = ("Namespace", "CustomResourceDefinition", "ConfigMap", "Secret", "ServiceAccount")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong, and where: ``web.yaml:12:5``."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object as written. lines: of each field's path."""

    kind: Kind
    document: dict[str, Any]
    place: str
    lines: Mapping[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        metadata = self.document.get("metadata") or {}
        return str(metadata.get("name") or metadata.get("generateName") or "")

    @property
    def namespace(self) -> str:
        return str((self.document.get("metadata") or {}).get("namespace") or "")

    def place_of(self, path: str) -> str:
        """Where a field is written, or the closest part of its path that is."""
        return _nearest(path, self.lines, self.place)


class Refused(Exception):
    """At least one document can't be used; nothing was sent."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def read(sources: tuple[str, ...], *, recursive: bool = False, strict: bool = True) -> list[Manifest]:
    """All objects of files, directories and ``-`` (standard input), namespaces first. Raises Refused.

    strict: unknown fields are problems; else they are the server's affair.
    """
    manifests: list[Manifest] = []
    problems: list[Problem] = []
    for name, text in _texts(sources, recursive, problems):
        _one_file(name, text, manifests, problems, strict)
    if not manifests and not problems:
        problems.append(Problem(", ".join(sources), "no objects found"))
    if problems:
        raise Refused(problems)
    rank = {kind: number for number, kind in enumerate(ORDER)}
    return sorted(manifests, key=lambda manifest: rank.get(manifest.kind.kind, len(rank)))


def _apart(source: str) -> list[str]:
    """``a.yaml,b.yaml`` are two files, unless one is called so."""
    return [source] if "," not in source or Path(source).exists() else [part for part in source.split(",") if part]


def _texts(sources: tuple[str, ...], recursive: bool, problems: list[Problem]) -> Iterator[tuple[str, bytes]]:
    for source in (part for several in sources for part in _apart(several)):
        if source == "-":
            yield "<stdin>", sys.stdin.buffer.read(MAX_FILE_BYTES + 1)
            continue
        if source.startswith(("http://", "https://")):
            problems.append(Problem(source, "URLs are not read: fetch it yourself, and give it as -f -"))
            continue
        path = Path(source)
        if path.is_dir():
            pattern = "**/*" if recursive else "*"
            files = sorted(p for p in path.glob(pattern) if p.suffix in ENDINGS and p.is_file())
            if not files:
                problems.append(Problem(source, f"no files ending in {', '.join(ENDINGS)}"))
        else:
            files = [path]
        for file in files:
            try:
                with file.open("rb") as opened:
                    yield str(file), opened.read(MAX_FILE_BYTES + 1)
            except FileNotFoundError:
                problems.append(Problem(str(file), "the path does not exist"))
            except OSError as error:
                problems.append(Problem(str(file), f"cannot be read: {error.strerror}"))


def _one_file(name: str, text: bytes, manifests: list[Manifest], problems: list[Problem], strict: bool) -> None:
    if len(text) > MAX_FILE_BYTES:
        problems.append(Problem(name, f"has more than {MAX_FILE_BYTES} bytes"))
        return
    try:
        nodes = _nodes(name, text)
    except _Wrong as wrong:
        problems.append(wrong.problem)
        return
    for node in nodes:
        try:
            lines: dict[str, str] = {}
            document = _Reader(name, lines).value(node, "", 0)
        except _Wrong as wrong:
            problems.append(wrong.problem)
            continue
        if document is None:
            continue
        _objects(document, name, node, lines, manifests, problems, strict)


def read_value(text: str, name: str) -> Any:
    """One value written in YAML or JSON, under the same limits as manifests. Raises Refused."""
    try:
        nodes = _nodes(name, text.encode())
        return _Reader(name, {}).value(nodes[0], "", 0) if len(nodes) == 1 else None
    except _Wrong as wrong:
        raise Refused([wrong.problem]) from None


def _nodes(name: str, text: bytes) -> list[Any]:
    """The documents of a file as trees. Raises _Wrong.

    The depth is found from the events first, because composing a tree recurses in C and would overflow the stack.
    """
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise _Wrong(Problem(_place(name, event.start_mark), f"nested deeper than {MAX_DEPTH} levels"))
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        return [node for node in yaml.compose_all(text, Loader=yaml.CSafeLoader) if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(name, mark) if mark is not None else name
        raise _Wrong(Problem(place, f"not YAML: {error.problem or error.context}")) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _Wrong(Problem(name, f"not YAML: {error}")) from error


def _place(name: str, mark: Any) -> str:
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


def _objects(
    document: Any,
    name: str,
    node: Any,
    lines: dict[str, str],
    manifests: list[Manifest],
    problems: list[Problem],
    strict: bool,
) -> None:
    place = _place(name, node.start_mark)
    if not isinstance(document, dict):
        problems.append(Problem(place, "expected an object with apiVersion and kind"))
        return
    if str(document.get("kind", "")).endswith("List") and isinstance(document.get("items"), list):
        for index, item in enumerate(document["items"]):
            prefix = f"items[{index}]"
            inner = {path.removeprefix(f"{prefix}."): at for path, at in lines.items() if path.startswith(f"{prefix}.")}
            _object(item, lines.get(prefix, place), inner, manifests, problems, strict)
        return
    _object(document, place, lines, manifests, problems, strict)


def _object(
    document: Any, place: str, lines: dict[str, str], manifests: list[Manifest], problems: list[Problem], strict: bool
) -> None:
    if not isinstance(document, dict):
        problems.append(Problem(place, "expected an object with apiVersion and kind"))
        return
    for required in ("apiVersion", "kind"):
        if not isinstance(document.get(required), str) or not document[required]:
            problems.append(Problem(place, f"{required}: Required value"))
            return
    try:
        kind = kinds.by_kind(document["apiVersion"], document["kind"])
    except errors.NotFound as error:
        problems.append(Problem(lines.get("kind", place), str(error)))
        return
    try:
        if strict:
            json.decode_strict(document, kind.type)
        else:
            json.decode_lenient(document, kind.type)
    except errors.Invalid as error:
        details = error.details or (errors.FieldError("", error.message),)
        for detail in details:
            problems.append(Problem(_nearest(detail.path, lines, place), str(detail)))
        return
    manifest = Manifest(kind, document, place, lines)
    if not manifest.name:
        problems.append(Problem(place, "metadata.name: Required value"))
        return
    manifests.append(manifest)


def _nearest(path: str, lines: Mapping[str, str], place: str) -> str:
    """The place of a field, or of the closest part of its path that is written."""
    while path:
        if path in lines:
            return lines[path]
        if path.endswith("]"):
            parent, _, key = path[:-1].rpartition("[")
            if f"{parent}.{key}" in lines:  # a key of a map, like limits[cpu]
                return lines[f"{parent}.{key}"]
            path = parent
        else:
            path = path.rpartition(".")[0] if path.rfind(".") > path.rfind("[") else path[: path.rfind("[")]
    return place


class _Wrong(Exception):
    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


class _Reader:
    """Values of YAML nodes, with the place of each path."""

    def __init__(self, name: str, lines: dict[str, str]) -> None:
        self._name = name
        self._lines = lines
        self._nodes = 0
        self._constructor = yaml.constructor.SafeConstructor()

    def value(self, node: Any, path: str, depth: int) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _Wrong(Problem(self._place(node), f"more than {MAX_NODES} values, aliases counted as often as used"))
        if depth > MAX_DEPTH:
            raise _Wrong(Problem(self._place(node), f"nested deeper than {MAX_DEPTH} levels"))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            result = []
            for index, item in enumerate(node.value):
                at = f"{path}[{index}]"
                self._lines[at] = self._place(item)
                result.append(self.value(item, at, depth + 1))
            return result
        return self._scalar(node)

    def _mapping(self, node: Any, path: str, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        inherited: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key, str):
                raise _Wrong(Problem(self._place(key_node), "keys must be text"))
            if key == "<<" and key_node.tag == "tag:yaml.org,2002:merge":
                merged = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in merged:
                    if isinstance(part, yaml.MappingNode):
                        inherited = {**self._mapping(part, path, depth + 1), **inherited}
                continue
            if key in result:
                raise _Wrong(Problem(self._place(key_node), f'key "{key}" is there twice'))
            at = f"{path}.{key}" if path else key
            self._lines[at] = self._place(key_node)
            result[key] = self.value(value_node, at, depth + 1)
        return {**inherited, **result}

    def _scalar(self, node: Any) -> Any:
        """As YAML 1.2's core schema would where 1.1 differs: only true and false are booleans, times stay text."""
        text, kind = str(node.value), str(node.tag).removeprefix("tag:yaml.org,2002:")
        if kind == "timestamp" or (kind in ("int", "float") and ":" in text):
            return text
        if kind == "bool" and text.lower() not in ("true", "false"):
            return text
        if kind not in PLAIN_TAGS:
            raise _Wrong(Problem(self._place(node), f"the tag {node.tag} is not for manifests"))
        try:
            return self._constructor.construct_object(node)
        except (yaml.YAMLError, ValueError, OverflowError) as error:
            raise _Wrong(Problem(self._place(node), f"{node.value!r}: {error}")) from error

    def _place(self, node: Any) -> str:
        return _place(self._name, node.start_mark)
