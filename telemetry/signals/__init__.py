"""Signals: names for expressions over columns, such as a health score, written in YAML that a user may override.

A signal is no measurement: where a condition names one, its expression stands there, and is computed once for all.
"""

from telemetry.signals.definitions import Definitions, compile_definitions, pack, unpack
from telemetry.signals.load import BUILTIN, SignalsResult, builtin, load_signals

__all__ = [
    "BUILTIN",
    "Definitions",
    "SignalsResult",
    "builtin",
    "compile_definitions",
    "load_signals",
    "pack",
    "unpack",
]
