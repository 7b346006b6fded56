"""From argv to an exit code. Nothing gets past here as a traceback."""

import errno
import os
import sys
import tempfile
from collections.abc import Sequence

from controller.cli.errors import CLOSED_PIPE, ERROR, INTERRUPTED, USAGE, CliError, bad_input
from controller.cli.output import Format, OutputFailed, asked_for, emit_error, tell, writing

_GLOBAL_FLAGS = ("--json", "--no-headers", "--debug")
_GLOBAL_VALUES = ("-o", "--output", "--format", "--state", "--config")
_PLUGIN_FLAGS = ("--no-headers", "--debug", "-A", "--all-namespaces")
_PLUGIN_VALUES = ("-o", "--output", "-n", "--namespace", "--kubeconfig", "--context")
_AUTO = "auto"


def run(argv: Sequence[str], program: str = _AUTO) -> int:
    """Run a command line of `auto`, or of the plugin of kubectl, and return its exit code."""
    form = asked_for(argv)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # LANG=C can not show everything; it must not fail for that
    try:
        code = _invoke(argv, form, program)
        with writing():
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except OutputFailed as failed:
        return _output_failed(failed.error)
    return code


def _invoke(argv: Sequence[str], form: Format, program: str) -> int:
    import typer

    if program == _AUTO:
        from controller.cli.app import app
    else:
        from controller.cli.plugin import app

    try:
        plugin = () if program == _AUTO else (_PLUGIN_FLAGS, _PLUGIN_VALUES)
        words = global_first(argv, *plugin)
        code = typer.main.get_command(app).main(args=words, prog_name=program, standalone_mode=False)
    except CliError as error:
        emit_error(error, form)
        return error.exit_code
    except typer.TyperException as error:  # wrong usage
        emit_error(_usage(error), form)
        return USAGE
    except typer.Abort:
        return INTERRUPTED
    except OutputFailed:
        raise
    except Exception as error:  # the last resort: one line, and where the rest is
        if "--debug" in argv:
            raise
        emit_error(_unexpected(error), form)
        return ERROR
    return code if isinstance(code, int) else 0


def _usage(error: Exception) -> CliError:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "auto"
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    return CliError(message.rstrip("."), "BadInput", exit_code=USAGE, hint=f"`{path} --help` lists what there is")


def _unexpected(error: Exception) -> CliError:
    """An error that nobody foresaw: its details go to a file that only the user can read."""
    import traceback

    lines = traceback.format_exception(error)
    try:
        descriptor, path = tempfile.mkstemp(prefix="gyrostat-error-", suffix=".txt")
        with os.fdopen(descriptor, "w", errors="backslashreplace") as file:
            file.writelines(lines)
        where = f"the details are in {path}"
    except OSError:
        where = "run it again with --debug to see the details"
    return CliError(f"unexpected {type(error).__name__}: {error}", "Internal", hint=f"this is a bug; {where}")


def _output_failed(error: OSError) -> int:
    """Stdout is closed or full. What is buffered must not be flushed again when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    if error.errno == errno.EPIPE:
        return CLOSED_PIPE
    tell(f"error: the output can not be written: {error.strerror}")
    return ERROR


def global_first(
    argv: Sequence[str], flags: Sequence[str] = _GLOBAL_FLAGS, values: Sequence[str] = _GLOBAL_VALUES
) -> list[str]:
    """The same words with the global options in front, so that they may stand anywhere.

    Raises:
        CliError: one of them has no value.
    """
    front: list[str] = []
    rest: list[str] = []
    words = iter(argv)
    for word in words:
        if word == "--":
            rest.append(word)
            break
        name, equals, _ = word.partition("=")
        if word in flags or (name in values and equals):
            front.append(word)
        elif word in values:
            value = next(words, None)
            if value is None:
                raise bad_input(f"{word} requires an argument", hint="`auto --help` lists what there is")
            front += [word, value]
        else:
            rest.append(word)
    return [*front, *rest, *words]
