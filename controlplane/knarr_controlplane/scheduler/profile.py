"""Which plugins decide: every module in ``plugins/``."""

from __future__ import annotations

import importlib
import pkgutil

from knarr_controlplane.scheduler import plugins
from knarr_controlplane.scheduler.framework import Plugin


def load_plugins() -> tuple[Plugin, ...]:
    """The PLUGIN of every module in ``plugins/``, cheap filters first (by module constant ORDER, then name)."""
    found: list[tuple[int, str, Plugin]] = []
    for module_info in pkgutil.iter_modules(plugins.__path__):
        module = importlib.import_module(f"{plugins.__name__}.{module_info.name}")
        found.append((module.ORDER, module_info.name, module.PLUGIN))
    return tuple(plugin for _, _, plugin in sorted(found, key=lambda entry: entry[:2]))
