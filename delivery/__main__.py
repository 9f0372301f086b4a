"""`python -m delivery` is `slipway`."""

from delivery.start import run

if __name__ == "__main__":
    run()
