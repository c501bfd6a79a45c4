"""Integers of a given width, checked when JSON is decoded, and numbers. To type checkers integers are plain ``int``."""

from __future__ import annotations

from typing import Annotated

import msgspec

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
UInt32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Number = int | float
"""A double: whole numbers stay integers, so that JSON has no ``.0`` where there was none."""
