"""doctor: is everything in place; uninstall: may it go."""

import typer

from controller.cli.app import app
from controller.cli.errors import FINDINGS
from controller.cli.output import Answer, Field
from controller.cli.session import Session

FIELDS = (
    Field("ABOUT", lambda r: r["about"]),
    Field("STATE", lambda r: r["state"]),
    Field("FOUND", lambda r: r["detail"]),
    Field("DO", lambda r: r["hint"]),
)


@app.command()
def doctor(ctx: typer.Context) -> None:
    """Is everything in place? Exit 3 if something will not work."""
    from controller.clock import Clock
    from controller.doctor import State, examine

    session: Session = ctx.obj
    found = list(examine(session.settings(), Clock().now))
    rows = [finding.row() for finding in found]
    session.emit(Answer(data={"findings": rows}, rows=rows, fields=FIELDS, name="about"))
    raise typer.Exit(FINDINGS if any(finding.state is State.BAD for finding in found) else 0)
