"""The command line without its script: what the demo runs where `auto` is not beside the interpreter."""

import subprocess
import sys


def test_the_package_runs_as_a_module():
    run = subprocess.run(
        [sys.executable, "-P", "-m", "controller.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert "auto" in run.stdout
    assert "execute" in run.stdout
