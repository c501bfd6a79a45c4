"""``edit``: an object in the user's editor, written back as a patch of what was changed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from knarr_api.errors import Conflict, Invalid, KnarrError
from knarr_cli import manifests, output
from knarr_cli.manifests import Refused
from knarr_cli.options import manager_option
from knarr_cli.refusal import explain
from knarr_cli.selecting import Choice, Target, choice_options, resources_argument
from knarr_cli.session import Session, session, shown, warn
from knarr_cli.verb import Verb
from knarr_client.grpc import GrpcClient
from knarr_client.raw import Document

INTRODUCTION = """# The object as it is. Lines that begin with '#' are left out; an empty file changes nothing.
# What you save is written back; if it can't be, the file opens again with the reason.
#
"""


@click.command(
    cls=Verb,
    name="edit",
    epilog="""\b
Examples:
  knarr edit deployment web
  KUBE_EDITOR=nano knarr edit configmap/settings
  knarr edit deployment/web --subresource status""",
)
@resources_argument("KIND NAME | KIND/NAME…", required=True)
@choice_options("namespace")
@click.option("--subresource", type=click.Choice(["status"]), help="Only this of it.")
@click.option("--show-managed-fields", is_flag=True, help="Also who owns which field.")
@manager_option("knarr-edit")
@click.pass_context
def edit_command(
    ctx: click.Context,
    resources: tuple[str, ...],
    choice: Choice,
    subresource: str | None,
    show_managed_fields: bool,
    manager: str,
) -> None:
    """Change objects in an editor: $KUBE_EDITOR, else $EDITOR, else vi."""
    own = session(ctx)

    async def find(client: GrpcClient) -> list[tuple[Target, Document]]:
        found = await choice.of(resources).targets(client, own)
        return [(each, await client.raw.get(each.kind, each.name, each.namespace)) for each in found]

    failed = False
    for target, present in own.run(find):
        shown_object = dict(present)
        if not show_managed_fields:
            shown_object["metadata"] = {k: v for k, v in present["metadata"].items() if k != "managedFields"}
        edited = Edited(own, target, shown_object, subresource or "", manager)
        failed = not edited.run() or failed
    if failed:
        raise SystemExit(1)


class Edited:
    """One object and the file that it is edited in."""

    def __init__(self, own: Session, target: Target, present: dict[str, Any], subresource: str, manager: str) -> None:
        self._own = own
        self._target = target
        self._present = present
        self._subresource = subresource
        self._manager = manager
        self._path = Path()

    def run(self) -> bool:
        """Whether all is well; False where changes could not be saved."""
        plain = output.as_yaml(self._present)
        descriptor, name = tempfile.mkstemp(prefix="knarr-edit-", suffix=".yaml")
        os.close(descriptor)
        self._path = Path(name)
        text, reason = plain, ""
        while True:
            self._path.write_text(INTRODUCTION + _commented(reason) + text)
            _open_editor(self._path)
            saved = _without_comments(self._path.read_text())
            if saved == text or not saved.strip():
                return self._given_up(reason)
            try:
                if not self._save(saved):
                    return self._given_up("")
            except (KnarrError, Refused) as error:
                reason, text = (explain(error) if isinstance(error, KnarrError) else f"error: {error}"), saved
                sys.stderr.write(reason + "\n")
                continue
            self._path.unlink()
            output.write(f"{shown(self._target.kind, self._target.name)} edited")
            return True

    def _given_up(self, reason: str) -> bool:
        if not reason:
            self._path.unlink()
            sys.stderr.write("Edit cancelled, no changes made.\n")
            return True
        sys.stderr.write(f"error: Edit cancelled, no valid changes were saved: they are in {self._path}\n")
        return False

    def _save(self, text: str) -> bool:
        """Whether there was anything to save. Raises Refused, KnarrError."""
        wanted = manifests.read_value(text, str(self._path))
        if not isinstance(wanted, dict):
            raise Invalid("expected one object")
        patch = difference(self._present, wanted)
        if not patch:
            return False
        target = self._target
        if "name" in patch.get("metadata", {}) or "kind" in patch or "apiVersion" in patch:
            raise Conflict(f"kind and name of {shown(target.kind, target.name)} can't be changed")

        async def work(client: GrpcClient) -> None:
            answer = await client.raw.patch(
                target.kind,
                target.name,
                target.namespace,
                patch=patch,
                subresource=self._subresource,
                field_manager=self._manager,
            )
            warn(answer.warnings)

        self._own.run(work)
        return True


def difference(old: Document, new: Document) -> dict[str, Any]:
    """The merge patch from one document to the other; lists are whole. Pure."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            inner = difference(before, value)
            if inner:
                patch[name] = inner
        elif name not in old or before != value:
            patch[name] = value
    return patch


def _open_editor(path: Path) -> None:
    """Raises Invalid where it can't be run or ends badly."""
    words = shlex.split(os.environ.get("KUBE_EDITOR") or os.environ.get("EDITOR") or "vi")
    try:
        done = subprocess.run([*words, str(path)], check=False)
    except OSError as error:
        path.unlink()
        raise Invalid(f"there was a problem with the editor {words[0]!r}: {error.strerror}") from error
    if done.returncode != 0:
        raise Invalid(f"the editor {words[0]!r} ended with status {done.returncode}; the file is {path}")


def _commented(reason: str) -> str:
    return "".join(f"# {line}\n" for line in reason.splitlines()) + ("#\n" if reason else "")


def _without_comments(text: str) -> str:
    """Only whole lines at the beginning are ours; others may be parts of values."""
    lines = text.splitlines(keepends=True)
    while lines and (lines[0].startswith("#") or not lines[0].strip()):
        lines.pop(0)
    return "".join(lines)


commands: tuple[click.Command, ...] = (edit_command,)
