"""One plugin per file, found by :func:`knarr_controlplane.scheduler.profile.load_plugins`.

A plugin module has ``PLUGIN`` (see ``framework.Plugin``) and ``ORDER``: filters run from low to high, so cheap ones
that refuse much come first. Modules here are pure.
"""
