"""``python -m knarr_node_agent``."""

from knarr_node_agent.main import main

main()
