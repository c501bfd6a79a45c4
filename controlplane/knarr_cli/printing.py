"""Objects as ``get`` shows them: as rows under titles, as documents, or by name; and every change of a watch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from knarr_api.kinds import Kind
from knarr_cli import output, tables
from knarr_cli.session import shown


class Printer:
    """What the options say of it."""

    def __init__(
        self,
        form: str,
        space: str,
        all_namespaces: bool,
        labels: bool,
        headers: bool,
        *,
        several: bool,
        managed: bool = False,
        label_columns: tuple[str, ...] = (),
        events: bool = False,
    ) -> None:
        self._form = form
        self._space = space
        self._all = all_namespaces
        self._labels = labels
        self._headers = headers
        self._several = several
        self._managed = managed
        self._label_columns = label_columns
        self._events = events
        self._widths: list[int] = []

    def show(self, groups: Mapping[Kind, list[dict[str, Any]]], *, single: bool) -> None:
        if self._events:
            for kind, each in groups.items():
                for item in each:
                    self.change(kind, item)
            return
        if output.is_table(self._form):
            self._tables(groups)
            return
        items = [item for each in groups.values() for item in each]
        if self._form == "name":
            for kind, each in groups.items():
                for item in each:
                    output.document("name", item, kind)
        elif single and len(items) == 1:
            output.document(self._form, items[0], managed=self._managed, headers=self._headers)
        else:
            content = {"apiVersion": "v1", "items": items, "kind": "List", "metadata": {"resourceVersion": ""}}
            output.document(self._form, content, managed=self._managed, headers=self._headers)

    def change(self, kind: Kind, item: dict[str, Any], event: str = "ADDED") -> None:
        """One more row, or document, of a watch."""
        if output.is_table(self._form):
            titles, cells = self._rows(kind, [item])
            if self._events:
                titles, cells = ["EVENT", *titles], [[event.ljust(len("MODIFIED")), *cells[0]]]
                self._widths = self._widths if len(self._widths) == len(titles) else []
            if not self._widths:
                pairs = zip(titles, cells[0], strict=True)
                self._widths = [max(len(title), len(cell)) for title, cell in pairs]
                if self._headers:
                    output.write("   ".join(t.ljust(w) for t, w in zip(titles, self._widths, strict=True)).rstrip())
            widths = self._widths
            padded = [cell.ljust(width) for cell, width in zip(cells[0], widths, strict=True)]
            output.write("   ".join(padded).rstrip())
        else:
            if self._form == "yaml":
                output.write("---")
            shown_item = {"type": event, "object": item} if self._events and self._form in ("json", "yaml") else item
            output.document(self._form, shown_item, kind, managed=self._managed)
        sys.stdout.flush()

    def _tables(self, groups: Mapping[Kind, list[dict[str, Any]]]) -> None:
        if not any(groups.values()):
            namespaced = any(kind.namespaced for kind in groups)
            place = f" in {self._space} namespace." if namespaced and not self._all else ""
            sys.stderr.write(f"No resources found{place}\n")
            return
        first = True
        for kind, items in groups.items():
            if not items:
                continue
            if not first:
                output.write("")
            first = False
            titles, cells = self._rows(kind, items)
            self._widths = [max(len(row[i]) for row in [titles, *cells]) for i in range(len(titles))]
            output.table(titles, cells, headers=self._headers)

    def _rows(self, kind: Kind, items: list[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
        prefix = shown(kind, "") if self._several else ""
        return tables.rows(
            kind,
            items,
            output.now(),
            wide=self._form == "wide",
            with_namespace=self._all and kind.namespaced,
            with_labels=self._labels,
            name_prefix=prefix,
            label_columns=self._label_columns,
        )
