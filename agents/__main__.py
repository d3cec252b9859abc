"""`python -m agents ...`, the same as `quorum ...`."""

from __future__ import annotations

import sys

from agents.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
