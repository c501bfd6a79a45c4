"""What the docs name exists: files, commands and options."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import click
import pytest

from knarr_cli.main import cli
from knarr_runtime.cli.main import knarr_runtime

ROOT = Path(__file__).resolve().parents[3]
DOCS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
PROGRAMS: dict[str, click.Group] = {"knarr": cli, "knarr-runtime": knarr_runtime}
LINK = re.compile(r"\]\(([^)#\s]+)[^)]*\)")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
SOURCE = re.compile(r"[\w.-]+(/[\w.-]+)*\.(py|md|proto|toml|service)")


def without_fences(text: str) -> str:
    return FENCE.sub("", text)


def code(text: str) -> Iterator[str]:
    """What stands in code marks, and the lines of code blocks; not of what is said to be missing."""
    text = text.partition("## Not there yet")[0]
    for block in FENCE.findall(text):
        yield from (line.removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines())
    yield from SPAN.findall(without_fences(text))


def tree() -> tuple[set[str], set[str]]:
    """Files and directories that belong to the repository."""
    listed = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    done = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=False)
    files = set(done.stdout.split()) or {str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()}
    return files, {str(parent) for file in files for parent in PurePosixPath(file).parents}


FILES, DIRECTORIES = tree()


def exists(path: str) -> bool:
    """A file or directory of the tree, whole or by the end of its path."""
    path = path.rstrip("/")
    return path in FILES or path in DIRECTORIES or any(each.endswith(f"/{path}") for each in FILES | DIRECTORIES)


def is_of_the_tree(word: str) -> bool:
    """Whether it can only be meant as a path in the repository."""
    first, slash, _ = word.partition("/")
    return bool(SOURCE.fullmatch(word)) or bool(slash and first in DIRECTORIES and first != "." and "{" not in word)


def wrong(line: str) -> str:
    """What of a command line there is not."""
    words = re.split(r"\s--\s|\s[|>&#]|\s<|;", line)[0].split()
    command: click.Command = PROGRAMS[words[0]]
    context = click.Context(command)
    options = {"--help", *names(command)}
    for word in words[1:]:
        if not isinstance(command, click.Group) or not re.fullmatch(r"[a-z-]*[a-z]", word) or word.startswith("-"):
            break
        inner = command.get_command(context, word)
        if inner is None:
            return f"no command {word}"
        command = inner
        options |= names(command)
    missing = set(OPTION.findall(" ".join(words))) - options
    return f"no option {', '.join(sorted(missing))}" if missing and not is_daemon(words) else ""


def is_daemon(words: list[str]) -> bool:
    """Its options are read elsewhere."""
    return words[:2] == ["knarr-runtime", "serve"]


def names(command: click.Command) -> set[str]:
    return {name for each in command.params for name in (*each.opts, *each.secondary_opts)}


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))
def test_links_lead_somewhere(doc: Path) -> None:
    targets = [target for target in LINK.findall(without_fences(doc.read_text())) if "://" not in target]
    assert [target for target in targets if not (doc.parent / target).exists()] == []


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))
def test_named_files_exist(doc: Path) -> None:
    lines = [line for line in SPAN.findall(without_fences(doc.read_text())) if line.split()[:1] != ["knarr"]]
    words = [word.rstrip(",.:") for line in lines for word in line.split()]
    assert [word for word in words if is_of_the_tree(word) and not exists(word)] == []


@pytest.mark.parametrize("doc", DOCS, ids=lambda doc: str(doc.relative_to(ROOT)))
def test_named_commands_and_options_exist(doc: Path) -> None:
    lines = [line.strip() for line in code(doc.read_text()) if line.split()[:1] and line.split()[0] in PROGRAMS]
    assert [f"{line}: {why}" for line in lines if (why := wrong(line))] == []
