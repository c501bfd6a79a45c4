"""Backups: everything the store holds at one revision and the keys to read it, in one file.

``archive`` is the file's format, written and verified; ``snapshot`` makes one of an open store; ``restore`` fills an
empty store from one. ``python -m knarr_controlplane.backup`` does these without a running control plane.
"""
