"""Reading the documentation: its pages, their code blocks, and the command lines that they show."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^(?: {4})?```(\w*)\n(.*?)^(?: {4})?```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(auto [^`]*)`")
_PLACEHOLDER = re.compile(r"[A-Z]+|…|\.\.\.")
_WORDS = {"--why": "a reason"}


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A line that a reader may type; one in running text may leave out what is required."""

    page: str
    line: int
    words: tuple[str, ...]
    whole: bool

    def __str__(self) -> str:
        return f"{self.page}:{self.line}: {shlex.join(self.words)}"


def blocks(page: Path) -> Iterator[Block]:
    """Every fenced block of a page."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        yield Block(page.name, text.count("\n", 0, found.start()) + 1, found[1], found[2])


def command_lines(page: Path) -> Iterator[CommandLine]:
    """Every `auto …` of a page: in `sh` blocks, after a `$` in others, and in running text."""
    for block in blocks(page):
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            prompt, _, typed = line.strip().partition("$ ")
            if prompt:
                typed = line.strip() if block.language == "sh" else ""
            yield from (CommandLine(page.name, number, words, whole=True) for words in _auto(typed))
    prose = _FENCE.sub(lambda found: "\n" * found[0].count("\n"), page.read_text())
    for found in _INLINE.finditer(prose):
        line = prose.count("\n", 0, found.start()) + 1
        for alternative in _alternatives(found[1].replace("\n", " ")):
            yield from (CommandLine(page.name, line, words, whole=False) for words in _auto(alternative))


def _auto(typed: str) -> Iterator[tuple[str, ...]]:
    """The words of each `auto` command of a shell line, without what the shell keeps for itself."""
    lexer = shlex.shlex(typed, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    command: list[str] = []
    for word in [*lexer, ";"]:
        if set(word) <= set(";&|<>()"):
            if command[:1] == ["auto"]:
                yield tuple(command[1:])
            command = []
        elif not (command == [] and "=" in word):  # VAR=value in front of a command
            command.append(word)


def _alternatives(text: str) -> list[str]:
    """`auto pause|resume --why …` stands for both."""
    for word in text.split():
        if "|" in word:
            return [text.replace(word, choice) for choice in word.split("|")]
    return [text]


def is_placeholder(word: str) -> bool:
    """TARGET, EPISODE, `…`: what a reader replaces."""
    return bool(_PLACEHOLDER.fullmatch(word))
