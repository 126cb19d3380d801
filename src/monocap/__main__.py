"""``python -m monocap``."""

import sys

from monocap.cli import main

sys.exit(main())
