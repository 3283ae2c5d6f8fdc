"""`python -m minipar` is the command `minipar`."""

import sys

from minipar.cli import main

sys.exit(main())
