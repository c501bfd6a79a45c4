"""Options that several commands share, as kubectl names them, and what they say together."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

Command = Callable[..., Any]
Option = Callable[[Command], Command]
DRY_RUN = {"none": "", "client": " (dry run)", "server": " (server dry run)"}
"""What stands behind the outcome."""


def _namespaces(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
    from knarr_cli import completing

    return list(completing.namespaces(ctx, param, incomplete))


namespace_option = click.option(
    "-n", "--namespace", default="", help='Default: the kubeconfig\'s, else "default".', shell_complete=_namespaces
)
all_namespaces_option = click.option("-A", "--all-namespaces", is_flag=True, help="In all namespaces.")
selector_option = click.option("-l", "--selector", default="", metavar="SELECTOR", help="app=web,tier in (a,b),!x")
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


def manager_option(default: str) -> Option:
    """Who owns the fields that the command sets."""
    return click.option(
        "--field-manager", "manager", default=default, show_default=True, help="Owner of the fields that are set."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a change is made, and told of. manager: who owns the fields that it sets. form: that of ``-o``."""

    manager: str
    dry_run: str = "none"
    form: str = ""

    @property
    def in_earnest(self) -> bool:
        """It is no dry run."""
        return self.dry_run == "none"

    @property
    def only_said(self) -> bool:
        """Nothing is sent."""
        return self.dry_run == "client"

    @property
    def tried(self) -> bool:
        """The server does everything but store it."""
        return self.dry_run == "server"

    @property
    def mark(self) -> str:
        """What stands behind the outcome."""
        return DRY_RUN[self.dry_run]


def manner_options(manager: str) -> Option:
    """``--dry-run``, ``--field-manager`` with this default and ``-o``, as one argument ``manner``."""
    return gathered(
        "manner", Manner, {"dry_run": dry_run_option, "manager": manager_option(manager), "form": form_option}
    )


def gathered(name: str, make: Callable[..., Any], options: dict[str, Option]) -> Option:
    """Options, by the parameter of ``make`` that each is; the command gets what is made of them by this name."""

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def command(*arguments: Any, **given: Any) -> Any:
            parts = {parameter: given.pop(parameter) for parameter in options}
            return function(*arguments, **given, **{name: make(**parts)})

        decorated: Command = command
        for option in reversed(options.values()):
            decorated = option(decorated)
        return decorated

    return decorate
