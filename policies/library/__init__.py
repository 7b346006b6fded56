"""Policies that come with the build. All of them only watch: copy one, and say in the copy what it may do."""

from pathlib import Path

from policies.load import LoadResult, load_folder
from telemetry.signals.definitions import Definitions

FOLDER = Path(__file__).parent
NAME = "library"
"""The word that means this folder where a path of policies is expected."""


def load_library(signals: Definitions | None = None) -> LoadResult:
    """Every policy of the library."""
    return load_folder(FOLDER, signals)
