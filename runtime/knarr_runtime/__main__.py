"""``python -m knarr_runtime``."""

from knarr_runtime.main import main

main()
