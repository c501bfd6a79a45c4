"""``python -m knarr_controlplane``."""

from knarr_controlplane.main import main

main()
