"""`python -m delivery` is `slipway`."""

import sys

from delivery.cli import main

if __name__ == "__main__":
    sys.exit(main())
