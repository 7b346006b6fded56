"""Configuration documents: strict YAML whose every error says file, line, column, why, and what is allowed.

Policies, services and settings files all come through here: `parse` reads text, `validate` turns it into a model.
Reading files is left to the caller; nothing here touches the world.
"""

from telemetry.documents.positions import Document
from telemetry.documents.problems import DocumentError, Problem
from telemetry.documents.quantities import Amount, Bytes, Duration, IntOrPercent, InvalidError, Matching, Seconds, Size
from telemetry.documents.reader import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse, parse_all
from telemetry.documents.validation import validate

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "Amount",
    "Bytes",
    "Document",
    "DocumentError",
    "Duration",
    "IntOrPercent",
    "InvalidError",
    "Matching",
    "Problem",
    "Seconds",
    "Size",
    "parse",
    "parse_all",
    "validate",
]
