"""``python -m knarr_node_agent``."""

import sys

sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # structlog would load it for tracebacks nobody sees: 4 MB

from knarr_node_agent.main import main  # noqa: E402

main()
