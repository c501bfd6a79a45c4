"""Entry of the zygote: ``python -I -S -E start.py STATE_DIR READY_FD``; finds its package without site-packages."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from knarr_runtime.zygote.main import main

if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
