"""Arguments that several commands share, and the checks of their values."""

import os
import re
from collections.abc import Callable
from typing import Annotated

import typer

_WHOLE = re.compile(r"-?[0-9]{1,30}")


def whole(least: int, most: int) -> Callable[[str | int], int]:
    """A whole number with bounds; a bad one is told them."""

    def parse(value: str | int) -> int:
        if isinstance(value, int):  # a default
            return value
        if not _WHOLE.fullmatch(value) or not least <= int(value) <= most:
            raise typer.BadParameter(f"{value!a} is not allowed (a whole number from {least} to {most})")
        return int(value)

    return parse


def span(least: float, most: float) -> Callable[[str | float], float]:
    """Seconds of a duration like `90d`, with bounds; a bad one is told them."""

    def parse(value: str | float) -> float:
        from telemetry.documents.quantities import InvalidError, Seconds

        try:
            return Seconds(least, most)(value)
        except InvalidError as error:
            raise typer.BadParameter(f"{error} ({error.hint})") from None

    return parse


def not_empty(value: str) -> str:
    """A reason is kept in the trail; an empty one tells nobody anything. What is no UTF-8 in it is replaced."""
    value = os.fsencode(value).decode(errors="replace")
    if not value.strip():
        raise typer.BadParameter("must not be empty: it is kept in the trail")
    if len(value) > 500:
        raise typer.BadParameter(f"has {len(value)} characters (500 are allowed)")
    return value


Why = Annotated[
    str, typer.Option("--why", metavar="TEXT", callback=not_empty, help="Your reason; it is kept in the trail.")
]
TargetName = Annotated[str, typer.Argument(metavar="TARGET", help="namespace/name, or name if that is unique.")]
EpisodeId = Annotated[str, typer.Argument(metavar="EPISODE", help="Its id, as `auto episodes` lists it.")]
