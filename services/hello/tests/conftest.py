from __future__ import annotations

import sys
from pathlib import Path

# The service is delivered as a folder beside its requirements, not as a package to install.
SERVICE = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(SERVICE))
