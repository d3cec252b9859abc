"""`python -m agents ...`, the same as `quorum ...`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from agents.cli.main import main
    except KeyboardInterrupt:  # a tenth of a second after the start
        sys.exit(130)
    sys.exit(main())
