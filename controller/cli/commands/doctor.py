"""doctor: is everything in place; uninstall: may it go."""

from typing import Annotated, Any

import typer

from controller.cli.app import app
from controller.cli.commands.look import ask
from controller.cli.errors import FINDINGS, CliError, bad_input
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


@app.command()
def uninstall(
    ctx: typer.Context,
    check: Annotated[bool, typer.Option("--check", help="Say what would be left behind; nothing is removed.")] = False,
) -> None:
    """May it go? Exit 3 while something that it changed is still in force."""
    if not check:
        hint = "--check says whether it may go; `helm uninstall` or pip then remove it"
        raise bad_input("this command removes nothing", hint=hint)
    session: Session = ctx.obj
    settings = session.settings()
    rows = ask(session, "episodes")["episodes"] if settings.kubernetes == "off" else _in_cluster(settings)
    left = [row for row in rows if row["action"]]
    fields = (
        Field("EPISODE", lambda r: r["episode"]),
        Field("POLICY", lambda r: r["policy"]),
        Field("TARGET", lambda r: r["target"]),
        Field("STATE", lambda r: r["state"]),
        Field("CHANGED", lambda r: r["changes"]),
    )
    notes = ["`auto undo EPISODE --why …` puts back what can be put back, or wait until it is lifted"] if left else []
    notes += ["what stays until you delete it: the trail, and in a cluster the kinds with their policies"]
    session.emit(Answer({"in_force": left}, left, fields, "episode", notes, "nothing that it changed is in force"))
    raise typer.Exit(FINDINGS if left else 0)


def _in_cluster(settings: Any) -> list[dict[str, Any]]:
    """Open episodes as the cluster tells them.

    Raises:
        CliError: it does not.
    """
    from controller.cluster.join import access
    from controller.cluster.look import Cluster
    from telemetry.sources.kubernetes.access import AccessError
    from telemetry.sources.kubernetes.client import Client, Refused

    try:
        return Cluster(Client(access(settings.kubernetes), settings.call_timeout)).episodes()
    except (AccessError, Refused, OSError) as error:
        raise CliError(f"the cluster does not tell: {error}", "NoAnswer") from error
