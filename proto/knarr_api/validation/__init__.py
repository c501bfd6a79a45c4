"""What is wrong with an object, as a list of field errors in Kubernetes' words. Pure.

``validate`` looks at one object; ``validate_update`` at a change of it. Kinds without rules of their own are checked
for their metadata only; their types are checked when they are decoded.
"""

from knarr_api.validation.not_enforced import warnings
from knarr_api.validation.objects import validate, validate_create, validate_update

__all__ = ["validate", "validate_create", "validate_update", "warnings"]
