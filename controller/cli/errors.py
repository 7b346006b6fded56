"""What goes wrong, as the user sees it: one line, a stable code, never a traceback."""

from typing import Any

OK, ERROR, USAGE, FINDINGS, INTERRUPTED, CLOSED_PIPE = 0, 1, 2, 3, 130, 141
"""Exit codes: done; failed; bad input; something is sick, unknown or needs a human; Ctrl-C; nobody reads stdout."""


class CliError(Exception):
    """An error with everything that the user is told.

    Attributes:
        code: stable CamelCase name for scripts.
        exit_code: of the process.
        details: for scripts; JSON values.
        hint: what to do next; may be empty.
    """

    def __init__(
        self,
        message: str,
        code: str = "Error",
        *,
        exit_code: int = ERROR,
        details: dict[str, Any] | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.exit_code = exit_code
        self.details = details or {}
        self.hint = hint

    @property
    def envelope(self) -> dict[str, Any]:
        """How scripts read it."""
        details = self.details | ({"hint": self.hint} if self.hint else {})
        return {"error": {"code": self.code, "message": str(self), "details": details}}


def bad_input(message: str, *problems: str, hint: str = "") -> CliError:
    """Bad input: exit 2; `problems` are all of them, one line each."""
    details = {"problems": list(problems)} if problems else {}
    return CliError(message, "BadInput", exit_code=USAGE, details=details, hint=hint)


def refused(message: str, hint: str = "") -> CliError:
    """The controller does not do it, and says why."""
    return CliError(message, "Refused", hint=hint)


def no_loop(what: str, why: str) -> CliError:
    """It needs a running loop, and none answers."""
    return CliError(
        f"{what} needs a running loop, and none answers: {why}",
        "NoLoop",
        hint="start one with `auto loop`, or say which with --state",
    )
