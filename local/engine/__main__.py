"""`python -m local.engine COMMAND …`: one operation of the engine, see `process`."""

import sys

from local.engine.start import live

if __name__ == "__main__":
    live(sys.argv[1:])
