"""What Kubernetes fills in where a manifest says nothing, per acting kind. Pure.

Source: Kubernetes API reference, "Defaults to …" of each field.
"""

from knarr_api.defaults.rules import apply

__all__ = ["apply"]
