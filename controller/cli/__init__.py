"""The command line: `auto`, also installed as `gyrostat`."""

import sys
from collections.abc import Sequence
from typing import NoReturn


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit with its code."""
    from controller.cli.entry import run

    sys.exit(run(sys.argv[1:] if argv is None else list(argv)))
