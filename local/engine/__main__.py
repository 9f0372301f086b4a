"""`python -m local.engine COMMAND …`: one operation of the engine, see `process`."""

import gc
import os
import sys

_GARBAGE = 50_000  # new objects before the garbage is looked for: a short life, in which nearly all of them stay

if __name__ == "__main__":
    gc.set_threshold(_GARBAGE)  # before anything else is loaded, of which nothing is garbage
    from local.engine.process import run

    gc.freeze()
    code = run(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # to take apart all that was loaded, object by object, takes a tenth of a second
