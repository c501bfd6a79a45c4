"""Printing objects in the form that ``-o`` asks for."""

from __future__ import annotations

import datetime
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from knarr_api.errors import Invalid
from knarr_api.kinds import Kind
from knarr_cli import gotemplate, jsonpath, tables
from knarr_cli.cells import NONE, at
from knarr_cli.session import shown

FORMS = (
    "wide, json, yaml, name, jsonpath=…, jsonpath-as-json=…, jsonpath-file=…, custom-columns[-file]=…, "
    "go-template[-file]=…"
)
COLOURS = {
    "Running": 32, "Ready": 32, "Active": 32, "Completed": 2, "Succeeded": 2, "Pending": 33, "ContainerCreating": 33,
    "PodInitializing": 33, "Terminating": 33, "CrashLoopBackOff": 31, "Error": 31, "Failed": 31, "NotReady": 31,
    "OOMKilled": 31, "ErrImagePull": 31, "ImagePullBackOff": 31, "Warning": 33, "Unknown": 31,
}  # fmt: skip


class _Dumper(yaml.CSafeDumper):
    """Texts of several lines as blocks, as people write them; nothing by reference."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    if "\n" in value:
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|")
    resolver: Any = dumper  # its stubs know no types
    quoted = resolver.resolve(yaml.ScalarNode, value, (True, False)) != "tag:yaml.org,2002:str"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style='"' if quoted else None)


_Dumper.add_representer(str, _text)


def as_yaml(content: Any, *, sort_keys: bool = False) -> str:
    """As people write it: texts of several lines as blocks, nothing by reference, no line broken."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=sort_keys, allow_unicode=True, width=100_000)


def colourful() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def write(text: str) -> None:
    sys.stdout.write(text if text.endswith("\n") else text + "\n")


def is_table(form: str) -> bool:
    return form in ("", "wide")


def document(
    form: str, content: Mapping[str, Any], kind: Kind | None = None, *, managed: bool = False, headers: bool = True
) -> None:
    """One object, or a list of objects, in a form that is no table. Raises Invalid for an unknown form.

    managed: with managed fields, which JSON and YAML are without as with kubectl. headers: of columns.
    """
    form = _from_file(form)
    if form in ("json", "yaml") and not managed:
        content = without_managed_fields(content)
    if form == "json":
        write(json.dumps(content, indent=4, ensure_ascii=False))
    elif form == "yaml":
        write(as_yaml(content))
    elif form.startswith("jsonpath="):
        sys.stdout.write(jsonpath.render(form.removeprefix("jsonpath="), content))
        if sys.stdout.isatty():
            sys.stdout.write("\n")
    elif form.startswith("jsonpath-as-json="):
        write(json.dumps(jsonpath.find(form.partition("=")[2].strip("{}"), content), indent=4, ensure_ascii=False))
    elif form.startswith("go-template="):
        sys.stdout.write(gotemplate.render(form.partition("=")[2], content))
    elif form.startswith("custom-columns="):
        _custom_columns(form.removeprefix("custom-columns="), content, headers=headers)
    elif form == "name" and kind is not None:
        write(shown(kind, at(content, "metadata.name")))
    else:
        raise Invalid(f'unable to match a printer suitable for the output format "{form}": allowed are {FORMS}')


def _from_file(form: str) -> str:
    """``jsonpath-file=PATH``, ``custom-columns-file=PATH`` and the like as if given directly. Raises Invalid."""
    name, _, path = form.partition("=")
    if name not in ("jsonpath-file", "custom-columns-file", "go-template-file"):
        return form
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"error reading template {path}: {error}") from error
    if name == "jsonpath-file":
        return f"jsonpath={text.rstrip()}"
    if name == "go-template-file":
        return f"go-template={text}"
    titles, _, paths = text.partition("\n")
    pairs = zip(titles.split(), paths.split(), strict=False)
    return f"custom-columns={','.join(f'{title}:{each}' for title, each in pairs)}"


def without_managed_fields(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """An object, or those of a list, without the record of who owns which field. Pure."""
    if isinstance(content.get("items"), list) and str(content.get("kind", "")).endswith("List"):
        return {**content, "items": [without_managed_fields(item) for item in content["items"]]}
    metadata = content.get("metadata")
    if not isinstance(metadata, dict) or "managedFields" not in metadata:
        return content
    return {**content, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}


def table(titles: Sequence[str], cells: Sequence[Sequence[str]], *, headers: bool = True) -> None:
    """An aligned table; states are coloured on a terminal."""
    lines = tables.layout(titles, cells, headers=headers)
    if colourful():
        first = 1 if headers else 0
        lines = [*lines[:first], *(_coloured(line, row) for line, row in zip(lines[first:], cells, strict=True))]
    if lines:
        write("\n".join(lines))


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _coloured(line: str, row: Sequence[str]) -> str:
    for cell in row:
        word = cell.split(",")[0].removeprefix("Init:")
        if word in COLOURS:
            return line.replace(cell, f"\033[{COLOURS[word]}m{cell}\033[0m", 1)
    return line


def _custom_columns(spec: str, content: Mapping[str, Any], *, headers: bool) -> None:
    pairs = [part.partition(":")[::2] for part in spec.split(",")]
    if not all(title and path for title, path in pairs):
        raise Invalid("custom-columns: expected TITLE:.path,TITLE:.path")
    items = content["items"] if "items" in content and str(content.get("kind", "")).endswith("List") else [content]
    cells = []
    for item in items:
        found = [jsonpath.find(path, item) for _, path in pairs]
        cells.append([",".join(str(value) for value in values) or NONE for values in found])
    table([title for title, _ in pairs], cells, headers=headers)
