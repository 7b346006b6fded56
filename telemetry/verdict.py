"""Three-valued answers."""

from enum import StrEnum


class Verdict(StrEnum):
    """The answer to a question about the world.

    UNKNOWN never acts, never reverses and never counts as success: it is not a kind of FAIL.
    """

    PASS = "Pass"  # noqa: S105 - a verdict, no password
    FAIL = "Fail"
    UNKNOWN = "Unknown"

    @classmethod
    def of(cls, *, true: bool, false: bool) -> "Verdict":
        """The verdict of a cell that is surely true, surely false, or neither."""
        if true:
            return cls.PASS
        return cls.FAIL if false else cls.UNKNOWN
