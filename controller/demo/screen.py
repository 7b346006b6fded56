"""What a person sees: color and a spinner on a terminal; in a pipe the same words and no escape codes."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from textwrap import wrap

from rich.console import Console
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.text import Text

WIDTH = 80
"""Columns of a pipe, if nothing else is said, and what every line is made for."""
WIDEST = 100
"""Columns beyond which lines are no longer read in one look."""
MARGIN = "   "


class Screen:
    """Writes lines; each kind of line has its own mark, so that a log of it can be searched."""

    def __init__(self, width: int = WIDTH) -> None:
        """`width`: columns of a pipe."""
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # LANG=C can not show a tick; that is no reason to fail
        self.terminal = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
        self.console = Console(force_terminal=self.terminal, highlight=False, soft_wrap=True, legacy_windows=False)
        self.width = min(self.console.width, WIDEST) if self.terminal else width

    def title(self, text: str, lines: Iterable[str]) -> None:
        """The very first lines."""
        self._print(("", text, "bold"))
        for line in lines:
            self._wrapped("", line, style="dim")

    def step(self, number: int, name: str) -> None:
        """The heading of a step."""
        self._print(("", "", ""))
        self._print(("", f"{number}  ", "bold cyan"), ("", name, "bold"))

    def command(self, line: str, comment: str = "") -> None:
        """What a person would type."""
        self._print((MARGIN, "$ ", "dim"), ("", line, "cyan"), ("", f"  # {comment}" if comment else "", "dim"))

    def fact(self, text: str) -> None:
        """Something that happened."""
        self._wrapped("· ", text, "dim")

    def event(self, seconds: float, text: str) -> None:
        """Something that the trail says, and when."""
        self._wrapped(f"· {seconds:4.1f} s  ", text, "dim")

    def good(self, text: str) -> None:
        """Something that was checked and is as it must be."""
        self._wrapped("✓ ", text, "green")

    def bad(self, text: str) -> None:
        """Something that is not as it must be."""
        self._wrapped("✗ ", text, "bold red")

    def note(self, text: str) -> None:
        """Beside the point, but honest: numbers of the load, seconds."""
        self._wrapped("  ", text, style="dim")

    def block(self, lines: Iterable[str]) -> None:
        """The output of a command, as it is; only what is too wide is folded."""
        for line in lines:
            room = self.width - len(MARGIN) - 2
            for part in [line] if len(line) <= room else wrap(line, room, subsequent_indent="  "):
                self._print((MARGIN + "  ", part, ""))

    def rows(self, rows: Sequence[tuple[str, str, str]]) -> None:
        """A small table: name, number, what it means."""
        first = max(len(name) for name, _, _ in rows)
        second = max(len(number) for _, number, _ in rows)
        for name, number, meaning in rows:
            head = f"{name:<{first}}  {number:>{second}}  "
            lines = wrap(meaning, self.width - len(MARGIN) - len(head)) or [""]
            self._print(
                (MARGIN, name.ljust(first) + "  ", "dim"), ("", number.rjust(second), "bold"), ("  ", lines[0], "")
            )
            for line in lines[1:]:
                self._print((MARGIN + " " * len(head), line, ""))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """A spinner while nothing else is to be seen; a pipe shows what happened once it has."""
        if not self.terminal:
            yield
            return
        spinner = Spinner("dots", Text(text, "dim"), style="cyan")
        with Live(Padding(spinner, (0, 0, 0, len(MARGIN))), console=self.console, transient=True):
            yield

    def _wrapped(self, mark: str, text: str, mark_style: str = "", style: str = "") -> None:
        head = MARGIN + mark if mark else ""
        lines = wrap(text, self.width - len(head), break_on_hyphens=False) or [""]
        for i, line in enumerate(lines):
            self._print((head if i == 0 else " " * len(head), "", ""), ("", line, style), mark_style=mark_style)

    def _print(self, *parts: tuple[str, str, str], mark_style: str = "") -> None:
        """Print one line of (lead, text, style)."""
        line = Text()
        for lead, text, style in parts:
            line.append(lead, mark_style)
            line.append(text, style)
        line.rstrip()
        self.console.print(line)
