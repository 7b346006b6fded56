"""The settings loader: any bytes as a file, and any text in variables and flags beside it."""

import os
from pathlib import Path

from controller.settings import Keys, SettingsError, load
from tests.fuzz.rules import bounded, grown, plain, require, scratch

_FOLDER = scratch()
_FILE = _FOLDER / "gyrostat.yaml"
_BETWEEN = b"\x1e"
"""Between the file and each variable (`NAME=value`) and flag (`--name=value`)."""
_VALUES = (
    "Observe",
    "Recommend",
    "library",
    "127.0.0.1:",
    "[::1]:",
    "localhost:",
    "17 3 * * *",
    "500ms",
    "2h",
    "1e308",
    "off",
)
WORDS = sorted({*Keys.model_fields, *_VALUES, "\x1eGYROSTAT_", "\x1e--", "CONFIG=", "STATE="})


def check(data: bytes) -> None:
    """Everything that is wrong is named with its place; what loads means the same when it is given as flags."""
    content, *rest = grown(data).split(_BETWEEN)
    variables, flags = {}, {}
    for part in rest:
        name, _, value = part.decode(errors="surrogateescape").partition("=")
        flag = name.removeprefix("--").replace("-", "_")
        if name.startswith("--") and flag in Keys.model_fields:  # the command line knows no other
            flags[flag] = value
        elif name and "\x00" not in name + value:
            variables[name] = value
    _FILE.write_bytes(content)
    before = dict(os.environ)
    try:
        os.environ.update(variables)
        with bounded():
            _loaded(flags, _FILE)
            if variables.keys() | flags.keys():
                _loaded(flags, None)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _loaded(flags: dict[str, str], config: Path | None) -> None:
    try:
        settings = load(flags, config)
    except SettingsError as error:
        require(error.problems, "an error without a problem")
        for problem in error.problems:
            plain(problem)
            require(": " in problem, f"a problem without its place: {problem}")
        return
    for name in Keys.model_fields:
        require(settings.origin(name) in ("flag", "environment", "file", "default"), "a value from nowhere")
    _ = settings.limits, settings.metrics_address, settings.otlp_address
    given = {name: value for name, value in settings.model_dump().items() if value is not None}
    require(
        load(given, config).model_dump() == settings.model_dump(), "settings mean something else when given as flags"
    )
