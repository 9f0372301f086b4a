"""`python -m hello`: the service as its environment describes it."""

from __future__ import annotations

import sys

from hello.app import Application
from hello.server import serve
from hello.settings import Settings

if __name__ == "__main__":
    try:
        settings = Settings.from_environment()
    except ValueError as error:
        sys.exit(str(error))
    serve(Application(settings), settings)
