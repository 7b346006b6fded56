"""Data to stdout in the form that was asked for; everything else to stderr."""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import IO, Any

from controller.cli.errors import CliError, bad_input

PLAIN_WIDTH = 10_000
"""Columns of a pipe, and of -o wide: nothing is ever cut or folded there."""


class OutputFailed(Exception):  # noqa: N818  what happened, not whose fault it is
    """What was found could not be written."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


@contextlib.contextmanager
def writing() -> Iterator[None]:
    """Tell a failure of the output from all others.

    Raises:
        OutputFailed: stdout is closed or full.
    """
    try:
        yield
    except OSError as error:
        raise OutputFailed(error) from error


class Format(StrEnum):
    """How data is written."""

    TABLE = "table"  # for people
    WIDE = "wide"  # with every column
    JSON = "json"  # {"data": ...}
    YAML = "yaml"  # the same
    JSONL = "jsonl"  # one row a line, without envelope
    NAME = "name"  # one name a line

    @property
    def for_people(self) -> bool:
        """Whether notes and hints belong beside it."""
        return self in (Format.TABLE, Format.WIDE)


def text(value: Any) -> str:
    """A cell: nothing known is `-`."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, slots=True)
class Field:
    """A column of a table.

    Attributes:
        title: its heading.
        show: the cell of a row.
        wide: only in `wide`.
        right: numbers stand to the right.
    """

    title: str
    show: Callable[[Mapping[str, Any]], Any]
    wide: bool = False
    right: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command found.

    Attributes:
        data: everything, for scripts.
        rows: what a table lists, and `jsonl` and `name` write line by line.
        fields: columns of the table; without any, people read the notes only.
        name: key of a row under which its name stands.
        notes: lines under the table, for people.
        empty: instead of a table without rows.
    """

    data: Mapping[str, Any]
    rows: Sequence[Mapping[str, Any]] = ()
    fields: Sequence[Field] = ()
    name: str = ""
    notes: Sequence[str] = ()
    empty: str = ""

    @property
    def lists(self) -> bool:
        """Whether it is a list, even if an empty one."""
        return bool(self.rows or self.name)


STYLES: Mapping[str, str] = {
    "ok": "green",
    "Healed": "green",
    "Recovered": "green",
    "Pass": "green",
    "sick": "bold red",
    "Fail": "red",
    "unknown": "yellow",
    "Unknown": "yellow",
    "Undone": "yellow",
    "NeedsHuman": "bold red",
    "needs human": "bold red",
}
"""Colors of words, on a terminal."""


def emit(answer: Answer, form: Format, *, headers: bool = True, stream: IO[str] | None = None) -> None:
    """Write an answer.

    Args:
        answer: what to write.
        form: how.
        headers: whether a table has headings.
        stream: instead of stdout.

    Raises:
        CliError: the command has nothing to write in this form.
        OutputFailed: stdout is closed or full.
    """
    with writing():
        _emit(answer, form, headers=headers, stream=stream or sys.stdout)


def _emit(answer: Answer, form: Format, *, headers: bool, stream: IO[str]) -> None:
    match form:
        case Format.JSON:
            stream.write(to_json({"data": answer.data}, indent=2) + "\n")
        case Format.YAML:
            stream.write(to_yaml({"data": answer.data}))
        case Format.JSONL:
            for row in answer.rows if answer.lists else [answer.data]:
                stream.write(to_json(row) + "\n")
        case Format.NAME:
            if not answer.name:
                raise bad_input("-o name: this command lists no names", hint="use -o table, json, yaml or jsonl")
            for row in answer.rows:
                stream.write(f"{printable(str(row[answer.name]))}\n")
        case _:
            _for_people(answer, form, stream, headers=headers)
    stream.flush()


def _for_people(answer: Answer, form: Format, stream: IO[str], *, headers: bool) -> None:
    tabled = bool(answer.rows and answer.fields)
    if tabled:
        stream.writelines(f"{line}\n" for line in table(answer, form, stream, headers=headers))
    elif answer.empty and not answer.rows:
        stream.write(f"{answer.empty}\n")
    if answer.notes and tabled:
        stream.write("\n")
    stream.writelines(f"{printable(note)}\n" for note in answer.notes)


def table(answer: Answer, form: Format, stream: IO[str], *, headers: bool = True) -> list[str]:
    """The lines of a table: folded to the width of a terminal, as wide as it needs to be in a pipe."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = stream.isatty()
    folds = terminal and form is Format.TABLE
    made = Table(box=None, show_header=headers, pad_edge=False, padding=(0, 3, 0, 0), header_style="dim")
    shown = [column for column in answer.fields if form is Format.WIDE or not column.wide]
    for column in shown:
        least = len(column.title) if headers else 1
        made.add_column(
            column.title,
            justify="right" if column.right else "left",
            overflow="fold",
            no_wrap=not folds,
            min_width=least,
        )
    for row in answer.rows:
        cells = [printable(text(column.show(row))) for column in shown]
        made.add_row(*(Text(cell, style=STYLES.get(cell.partition(":")[0], "")) for cell in cells))
    console = Console(
        file=stream,
        width=None if folds else PLAIN_WIDTH,
        no_color=True if not colored(stream) else None,
        force_terminal=terminal,
        highlight=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        console.print(made, soft_wrap=False)
    return [line.rstrip() for line in captured.get().splitlines()]


def colored(stream: IO[str]) -> bool:
    """Whether escape sequences are wanted: a terminal, no NO_COLOR, not dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def printable(line: str) -> str:
    """A line without control characters: a name from outside can move no cursor and break no line."""
    return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def to_json(value: Any, indent: int | None = None) -> str:
    """Strict JSON: what is not finite would be unreadable for others, so it is null."""
    return json.dumps(_finite(value), ensure_ascii=False, indent=indent, allow_nan=False, default=str)


def to_yaml(value: Any) -> str:
    """YAML in the order given."""
    import yaml

    return str(yaml.safe_dump(json.loads(to_json(value)), sort_keys=False, allow_unicode=True, width=120))


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def emit_error(error: CliError, form: Format) -> None:
    """Tell an error: in a form for scripts to stdout, always in words to stderr."""
    with writing():
        _emit_error(error, form)


def _emit_error(error: CliError, form: Format) -> None:
    match form:
        case Format.JSON:
            sys.stdout.write(to_json(error.envelope, indent=2) + "\n")
        case Format.JSONL:
            sys.stdout.write(to_json(error.envelope) + "\n")
        case Format.YAML:
            sys.stdout.write(to_yaml(error.envelope))
        case _:
            _error_in_words(error)
    sys.stdout.flush()


def _error_in_words(error: CliError) -> None:
    tell(f"error: {error}")
    tell(*(f"  {problem}" for problem in error.details.get("problems", ())))
    if error.hint:
        tell(f"hint: {error.hint}")


def tell(*lines: str) -> None:
    """Progress, notes and diagnostics: to stderr."""
    sys.stderr.writelines(f"{printable(part)}\n" for line in lines for part in line.split("\n"))
    sys.stderr.flush()


def asked_for(argv: Iterable[str]) -> Format:
    """The form that a command line asks for, read before it is known to be right: errors of it are told in it."""
    words = [*argv]
    for i, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in ("-o", "--output", "--format") and not equals:
            value = "".join(words[i + 1 : i + 2])
        if word == "--json":
            return Format.JSON
        if name in ("-o", "--output", "--format") and value in [*Format]:
            return Format(value)
    return Format.TABLE
