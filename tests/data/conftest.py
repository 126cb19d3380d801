"""The writers of tiny data sets (tools/dataset_fixtures) as modules of their own."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "dataset_fixtures"))
