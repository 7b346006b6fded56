"""Every command line in the documentation is one that the program takes, and every command is documented."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer

from controller.cli.app import app

from .docs import PAGES, ROOT, CommandLine, command_lines, is_placeholder

LINES = [line for page in PAGES for line in command_lines(page)]


def _group() -> Any:
    return typer.main.get_command(app)


def _options(command: Any) -> dict[str, bool]:
    """The options of a command; whether each takes a value."""
    return {name: not option.is_flag for option in command.params for name in option.opts if name.startswith("-")}


def _without_global(words: tuple[str, ...]) -> list[str]:
    """The words without the options that may stand anywhere."""
    known, left, rest = _options(_group()), [], iter(words)
    for word in rest:
        if word not in known or word == "--help":
            left.append(word)
        elif known[word]:
            next(rest)
    return left


def _find(words: list[str]) -> tuple[Any, str, list[str]]:
    """The command that the words name, its name, and what is left of them."""
    command, name = _group(), "auto"
    while words and hasattr(command, "commands") and not words[0].startswith("-") and not is_placeholder(words[0]):
        found = command.commands.get(words[0])
        assert found is not None, f"`{name}` has no command {words[0]!r}: {', '.join(command.commands)}"
        command, name, words = found, f"{name} {words[0]}", words[1:]
    return command, name, words


def _check(line: CommandLine) -> None:
    """Read it as the program does; in running text, whatever is required may be missing."""
    command, name, rest = _find(_without_global(line.words))
    if line.whole and "--help" not in rest:
        assert not hasattr(command, "commands"), f"`{name}` alone does nothing: {', '.join(command.commands)}"
        command.make_context(name, rest)
    known = {*_options(command), *_options(_group()), "--help"}
    unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known]
    assert unknown == [], f"`{name}` has {', '.join(sorted(known))}"


@pytest.mark.parametrize("line", LINES, ids=str)
def test_a_command_line_in_the_docs_is_taken(line: CommandLine) -> None:
    _check(line)


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        ("status --nothing", True),
        ("stauts", True),
        ("audit", True),
        ("audit lsit", False),
        ("undo --whyy x", False),
        ("undo e1", True),
        ("execute --max many", True),
    ],
)
def test_a_wrong_command_line_would_be_noticed(words: str, whole: bool) -> None:
    with pytest.raises((AssertionError, typer.TyperException)):
        _check(CommandLine("none", 1, tuple(words.split()), whole))


def test_the_readme_shows_commands() -> None:
    assert len([line for line in LINES if line.page == "README.md" and line.whole]) >= 10


def test_a_whole_command_line_has_no_placeholder_to_replace() -> None:
    assert [str(line) for line in LINES if line.whole and any(map(is_placeholder, line.words))] == []


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, with its whole name."""
    yield from _commands(_group(), "auto")


def _commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    for name, child in group.commands.items():
        if hasattr(child, "commands"):
            yield from _commands(child, f"{path} {name}")
        else:
            yield f"{path} {name}", child


def test_every_command_stands_in_the_operations_page() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name, _ in commands() if f"`{name}`" not in text] == []
