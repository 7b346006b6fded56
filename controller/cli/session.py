"""One run of the command line: its global options, and what every command needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from controller.cli.errors import bad_input
from controller.cli.output import Answer, Format, emit

if TYPE_CHECKING:
    from controller.settings import Settings


@dataclass(frozen=True, slots=True)
class Session:
    """Global options.

    Attributes:
        form: how data is written.
        headers: whether tables have headings.
        state: state directory, as given.
        config: settings file, as given.
        debug: show tracebacks.
    """

    form: Format = Format.TABLE
    headers: bool = True
    state: str | None = None
    config: Path | None = None
    debug: bool = False

    def settings(self, **flags: Any) -> "Settings":
        """The settings in force under these flags.

        Raises:
            CliError: with everything that is wrong with them.
        """
        return read_settings({"state": self.state, **flags}, self.config)

    def emit(self, answer: Answer) -> None:
        """Write what was found to stdout."""
        emit(answer, self.form, headers=self.headers)


def read_settings(flags: Mapping[str, Any], config: Path | None) -> "Settings":
    """The settings in force.

    Raises:
        CliError: with everything that is wrong with them.
    """
    from controller.settings import SettingsError, load

    try:
        return load(flags, config)
    except SettingsError as error:
        raise bad_input("the settings are not used:", *error.problems) from error
