"""`python -m gateway` is `waterfall`."""

import sys

from gateway.cli import main

sys.exit(main())
