"""Makes `tiny.py` importable: the tests and the processes that they start share it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
