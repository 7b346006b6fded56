"""`python -m controller.cli`: the command line where its script is not installed beside the interpreter."""

import sys

from controller.cli import main

sys.exit(main())
