"""Tables, sizes, ages and progress as Docker's users know them. Pure but for the progress on the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

OUTPUTS = click.Choice(["table", "wide", "json", "yaml", "name"])
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
BINARY_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns three spaces apart."""
    lines = [tuple(titles), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(titles))]
    return "\n".join(
        "   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def show(titles: Sequence[str], rows: Sequence[Sequence[str]], documents: Sequence[Any], form: str) -> None:
    """form: table, wide, json, yaml, or name (the first column)."""
    if form in ("json", "yaml"):
        click.echo(document_text(list(documents), form))
    elif form == "name":
        for row in rows:
            click.echo(row[0])
    else:
        click.echo(table(titles, rows))


def document_text(document: Any, form: str) -> str:
    """form: json or yaml."""
    if form == "json":
        return json.dumps(document, indent=2)
    import yaml

    return str(yaml.safe_dump(document, sort_keys=False, allow_unicode=True)).rstrip("\n")


def human_size(count: float, *, binary: bool = False) -> str:
    """``5.61MB``: four characters of number."""
    base, units = (1024, BINARY_UNITS) if binary else (1000, UNITS)
    position = 0
    while count >= base and position < len(units) - 1:
        count /= base
        position += 1
    return f"{count:.4g}{units[position]}"


def ago(seconds: float) -> str:
    """``About a minute``, ``3 hours``: to be followed by ``ago``."""
    whole = max(int(seconds), 0)
    if whole < 1:
        return "Less than a second"
    if whole == 1:
        return "1 second"
    if whole < 60:
        return f"{whole} seconds"
    minutes = whole // 60
    if minutes == 1:
        return "About a minute"
    if minutes < 60:
        return f"{minutes} minutes"
    hours = round(minutes / 60)
    if hours == 1:
        return "About an hour"
    if hours < 48:
        return f"{hours} hours"
    for size, name in ((365, "years"), (30, "months"), (7, "weeks")):
        if hours // 24 >= 2 * size:
            return f"{hours // 24 // size} {name}"
    return f"{hours // 24} days"


def short(identifier: str) -> str:
    return identifier.removeprefix("sha256:")[:12]


class Transfer:
    """Shows TransferProgress messages: bars on a terminal, else a line for each change of state."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._seen: dict[str, str] = {}
        self._bars: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Transfer:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

            columns = TextColumn("{task.description}"), BarColumn(30), DownloadColumn()
            self._bars = Progress(*columns, console=Console(stderr=True))
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bars is not None:
            self._bars.stop()

    def take(self, message: Any) -> None:
        if self._quiet or not message.status:
            return
        label = f"{short(message.id)}: {message.status}" if message.id else message.status
        if self._bars is not None and message.id:
            if message.id not in self._tasks:
                self._tasks[message.id] = self._bars.add_task(label, total=message.total_bytes or None)
            total, done = message.total_bytes or None, message.current_bytes
            if total is None and message.status in ("Pull complete", "Already exists", "Pushed"):
                total = done = 1
            self._bars.update(self._tasks[message.id], description=label, completed=done, total=total)
        elif self._seen.get(message.id) != message.status:
            self._seen[message.id] = message.status
            click.echo(label, err=True)
