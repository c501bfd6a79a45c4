"""The ``knarr`` command: kubectl's verbs and messages over the gRPC API, and clusters of this machine.

``commands`` has a module per group of verbs, imported when used; ``manifests`` reads YAML with positions, ``tables``
and ``output`` print, ``jsonpath`` is kubectl's dialect, ``session`` is the connection. ``cluster`` starts clusters.
"""
