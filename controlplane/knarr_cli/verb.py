"""Commands that take what users of kubectl type: global options after the verb, ``--flag=false`` and ``-o=json``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def global_options(*, hidden: bool) -> list[click.Option]:
    """Which cluster is meant. They may stand before and after the verb; the later one counts."""

    def remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
        given = ctx.find_root().ensure_object(dict)
        if value is not None or str(param.name) not in given:
            given[str(param.name)] = value

    return [
        click.Option(
            ["--kubeconfig"],
            metavar="FILE",
            help="Default: $KUBECONFIG, else ~/.kube/config.",
            hidden=hidden,
            expose_value=False,
            callback=remember,
        ),
        click.Option(
            ["--context"],
            metavar="NAME",
            help="Of the kubeconfig.",
            hidden=hidden,
            expose_value=False,
            callback=remember,
        ),
        click.Option(
            ["--request-timeout"],
            metavar="DURATION",
            help="Of one call: 10s, 1m.  [default: 30s]",
            hidden=hidden,
            expose_value=False,
            callback=remember,
        ),
    ]


def spelt_out(params: Sequence[click.Parameter], arguments: Sequence[str]) -> list[str]:
    """``-o=json`` becomes ``-ojson``, for every option of one letter that takes a value."""
    taking = {
        name
        for option in params
        if isinstance(option, click.Option) and not option.is_flag and not option.count
        for name in option.opts
    }
    end = arguments.index("--") if "--" in arguments else len(arguments)
    result = list(arguments)
    values = False
    for position, argument in enumerate(arguments[:end]):
        if values:
            values = False
        elif len(argument) > 3 and argument[2] == "=" and argument[:2] in taking:
            result[position] = argument[:2] + argument[3:]
        else:
            values = argument in taking
    return result


class Verb(click.Command):
    """A subcommand."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.params = [*self.params, *global_options(hidden=True)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spelt_out(self.params, switched(self.params, args)))


def switched(params: Sequence[click.Parameter], arguments: Sequence[str]) -> list[str]:
    """``--wait=false`` becomes ``--no-wait``; ``--force=false`` goes."""
    flags = {
        name: option for option in params if isinstance(option, click.Option) and option.is_flag for name in option.opts
    }
    result: list[str] = []
    for position, argument in enumerate(arguments):
        if argument == "--":
            return [*result, *arguments[position:]]
        name, equal, value = argument.partition("=")
        truth = TRUTHS.get(value.lower()) if equal else None
        if name not in flags or truth is None:
            result.append(argument)
        elif truth:
            result.append(name)
        else:
            result += flags[name].secondary_opts[:1]
    return result


class VerbGroup(click.Group):
    """A subcommand with subcommands."""

    command_class = Verb


class VerbAndGroup(VerbGroup):
    """A subcommand that does something itself, and has subcommands."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"invoke_without_command": True, **options})
        self.params = [*self.params, *global_options(hidden=True)]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        return super().parse_args(ctx, spelt_out(self.params, switched(self.params, args)))
