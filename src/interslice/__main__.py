"""`python -m interslice`, where the command itself is not on the path."""

import sys

from interslice.cli import main

sys.exit(main())
