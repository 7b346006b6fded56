"""The commands and the global options."""

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from controller.cli.output import Format
from controller.cli.session import Session

_SECTIONS = {
    "Start": ("init", "local", "loop", "demo"),
    "Look": ("status", "analyze", "episodes", "why"),
    "Act": ("execute", "act", "approve", "undo", "abort", "ack"),
    "Stop": ("pause", "resume", "freeze", "unfreeze"),
    "Prove": ("audit", "policy", "settings", "doctor", "uninstall"),
}


class _Grouped(TyperGroup):
    """Lists the commands by what they are for."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections."""
        for title, names in _SECTIONS.items():
            found = [(name, self.get_command(ctx, name)) for name in names]
            rows = [(name.ljust(8), command.get_short_help_str(90)) for name, command in found if command is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


app = typer.Typer(
    cls=_Grouped,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
    invoke_without_command=True,
    help="Gyrostat heals workloads carefully, undoes what did not help, and can prove what it did.",
    epilog="Global options may stand anywhere. Exit codes: 0 done, 1 failed, 2 bad input, "
    "3 something is sick, unknown or needs a human.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"gyrostat {version('gyrostat')}")
        raise typer.Exit


def _form(value: str) -> Format:
    if value not in [*Format]:
        raise typer.BadParameter(f"{value!a} is not allowed ({', '.join(Format)})")
    return Format(value)


@app.callback()
def root(
    ctx: typer.Context,
    *,
    json: Annotated[bool, typer.Option("--json", help="The same as -o json.")] = False,
    output: Annotated[
        str,
        typer.Option("-o", "--output", "--format", metavar="FORM", help="table, wide, json, yaml, jsonl or name."),
    ] = "table",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Tables without headings.")] = False,
    state: Annotated[
        str | None, typer.Option(metavar="DIR", help="State directory [GYROSTAT_STATE, else ./.gyrostat].")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Settings file [GYROSTAT_CONFIG, else DIR/gyrostat.yaml].")
    ] = None,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take the global options."""
    del version
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit
    form = Format.JSON if json else _form(output)
    ctx.obj = Session(form, headers=not no_headers, state=state, config=config, debug=debug)


def group(name: str, summary: str) -> typer.Typer:
    """A command with commands of its own."""
    made = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, help=summary)
    app.add_typer(made, name=name)
    return made


from controller.cli.commands import doctor, local, look, policy, prove, start, stop, wish  # noqa: E402, F401  they register themselves
