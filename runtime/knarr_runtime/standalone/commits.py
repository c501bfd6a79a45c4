"""``commit``: an image from a container, with what it has written as one more layer. Blocking."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from knarr_runtime.build import dockerfile, words
from knarr_runtime.build import instructions as given
from knarr_runtime.build.cache import Cache
from knarr_runtime.build.imageconfig import Draft
from knarr_runtime.build.images import PackedImages
from knarr_runtime.cri.pods import Pods
from knarr_runtime.cri.records import ContainerRecord
from knarr_runtime.errors import Invalid
from knarr_runtime.images import names
from knarr_runtime.images.store import Image


class Commits:
    def __init__(self, pods: Pods, images: PackedImages, cache: Cache) -> None:
        self._pods = pods
        self._images = images
        self._cache = cache

    def commit(
        self, record: ContainerRecord, tags: Sequence[str], *, author: str, comment: str, changes: Sequence[str]
    ) -> Image:
        """changes: instructions of a Dockerfile that make no layer. Raises Invalid, NotFound."""
        full = tuple(names.normalise(tag) for tag in tags)
        image = self._images.find(record.image_id)
        with self._images.lease() as hold:
            hold(image)
            draft = _as_run(self._images.draft(image), record.config)
            for text in changes:
                draft = _changed(draft, text)
            now = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            upper = self._pods.layer(record)
            upper.mkdir(mode=0o755, exist_ok=True)
            draft = draft.with_step(now, comment or "knarr-runtime commit", self._cache.pack(upper))
            return self._images.add(replace(draft, author=author or draft.author), full, _silent)


def _as_run(draft: Draft, config: Any) -> Draft:
    """What the container was told in place of its image's."""
    if config.command:
        draft = draft.with_("Entrypoint", list(config.command)).with_("Cmd", list(config.args))
    elif config.args:
        draft = draft.with_("Cmd", list(config.args))
    if config.working_dir:
        draft = draft.with_("WorkingDir", config.working_dir)
    return draft.with_env([(pair.key, pair.value.decode(errors="surrogateescape")) for pair in config.envs])


def _changed(draft: Draft, text: str) -> Draft:
    instruction = dockerfile.parse_trigger(text)

    def expanded(value: str) -> str:
        return words.expand(value, draft.env)

    match instruction:
        case given.Env():
            return draft.with_env([(expanded(name), expanded(value)) for name, value in instruction.pairs])
        case given.Label():
            return draft.with_labels([(expanded(name), expanded(value)) for name, value in instruction.pairs])
        case given.User():
            return draft.with_("User", expanded(instruction.user))
        case given.Workdir():
            return draft.with_working_dir(expanded(instruction.path))
        case given.Command(entrypoint=True):
            return draft.with_entrypoint(instruction.args, shell=instruction.shell)
        case given.Command():
            return draft.with_command(instruction.args, shell=instruction.shell)
        case given.Expose():
            return draft.with_ports(instruction.ports)
        case given.Volume():
            return draft.with_volumes([expanded(path) for path in instruction.paths])
        case given.StopSignal():
            return draft.with_stop_signal(instruction.signal)
    raise Invalid(
        f"change {text!r}: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME and WORKDIR are known"
    )


def _silent(identifier: str, status: str, current: int, total: int) -> None:
    """Nobody is shown how it goes."""
