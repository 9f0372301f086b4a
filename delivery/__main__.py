"""`python -m delivery` is `slipway`."""

from delivery.cli import run

if __name__ == "__main__":
    run()
