"""Options that several commands share, as kubectl names them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])
DRY_RUN = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
"""What stands behind the outcome."""

files_option = click.option(
    "-f", "--filename", "files", multiple=True, metavar="FILE|DIR|-", help="May be given several times."
)
recursive_option = click.option("-R", "--recursive", is_flag=True, help="Directories with all below them.")
dry_run_option = click.option(
    "--dry-run", type=click.Choice(list(DRY_RUN)), default="none", help="Only say what would be done."
)
field_selector_option = click.option(
    "--field-selector", default="", help="metadata.name=web,status.phase!=Running; by kind."
)
form_option = click.option("-o", "--output", "form", default="", help="name, json, yaml, jsonpath=…")
everything_option = click.option("--all", "everything", is_flag=True, help="All of the kind.")
validate_option = click.option(
    "--validate",
    type=click.Choice(["strict", "warn", "ignore", "true", "false"]),
    default="strict",
    show_default=True,
    help="What becomes of unknown fields: refused; dropped with a warning; dropped.",
)


def manager_option(default: str) -> Callable[[F], F]:
    """Who owns the fields that the command sets."""
    return click.option(
        "--field-manager", "manager", default=default, show_default=True, help="Owner of the fields that are set."
    )
