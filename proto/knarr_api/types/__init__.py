"""Frozen value types, one module per API group and version, generated from the .proto files.

How they stand for Kubernetes' JSON is written down in ``docs/decisions/0001-one-schema.md``. Do not edit the modules
here: change ``proto/knarr_proto`` or ``proto/generate`` and run ``./dev proto``.
"""
