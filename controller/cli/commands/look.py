"""status, analyze, episodes, why: they change nothing, with a running loop or without."""

import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from controller.cli import client
from controller.cli.app import app
from controller.cli.errors import FINDINGS, CliError, refused
from controller.cli.output import Answer, Field, Format, tell
from controller.cli.session import Session

EVERY = 2.0
"""Seconds between two looks of `--watch`."""


def ask(session: Session, name: str, **args: Any) -> Mapping[str, Any]:
    """A view of the running loop; without one, of a cold look that says what it can not know."""
    settings = session.settings()
    live = client.view(settings.state, name, **args)
    if live is not None:
        return live
    from controller.cold import cold_look
    from controller.views import VIEWS

    try:
        seen, unknown = cold_look(settings)
    except OSError as error:
        raise CliError(str(error), "NoAnswer") from error
    names = f"{len(unknown)} columns unknown: {', '.join(unknown)}" if unknown else "no column unknown"
    every = len(unknown) == len(seen.snapshot.columns)
    tell(f"cold: no loop is running; {'every column unknown' if every else names}")
    notes = [*([seen.trouble] if seen.trouble else []), *(f"policies not in force: {p}" for p in seen.problems)]
    if name != "status":  # which shows them itself
        tell(*notes)
    shown = VIEWS[name](seen, args)
    if "refused" in shown:
        raise refused(str(shown["refused"]))
    return shown


@app.command()
def status(
    ctx: typer.Context,
    namespace: Annotated[str, typer.Option("-n", "--namespace", metavar="NS", help="Only of this namespace.")] = "",
    watch: Annotated[bool, typer.Option("-w", "--watch", help="Show it again every two seconds.")] = False,
) -> None:
    """What is true now, target by target.

    Exit 3 if something is sick, unknown or in trouble, or needs a human.
    """
    from controller.views.status import is_degraded

    session: Session = ctx.obj
    while True:
        shown = ask(session, "status", namespace=namespace)
        if watch and session.form.for_people and sys.stdout.isatty():
            sys.stdout.write("\x1b[H\x1b[J")
        session.emit(_status_answer(shown, namespace))
        if not watch:
            raise typer.Exit(FINDINGS if is_degraded(shown) else 0)
        _pause()


def _pause() -> None:
    from threading import Event

    Event().wait(EVERY)


def _status_answer(shown: Mapping[str, Any], namespace: str) -> Answer:
    # what users see stands in place of what processes use: together they are too wide for most windows
    told = any(row["requests_per_second"] is not None for row in shown["targets"])
    where = f" in namespace {namespace}" if namespace else ": `auto local up services.yaml` starts some"
    return Answer(
        data=shown,
        rows=shown["targets"],
        fields=(
            Field("TARGET", lambda r: r["target"]),
            Field("HEALTH", lambda r: r["health"]),
            Field("SCORE", _scored),
            Field("READY", lambda r: f"{r['ready']}/{r['desired']}", right=True),
            Field("CPU", lambda r: _percent(r["cpu"]), right=True),
            Field("MEMORY", lambda r: _bytes(r["memory_bytes"]), wide=told, right=True),
            Field("RESTARTS", lambda r: _count(r["restarts"]), wide=told, right=True),
            Field("UP", lambda r: _span(r["up_seconds"]), wide=told, right=True),
            Field("REQ/S", lambda r: _rate(r["requests_per_second"]), wide=not told, right=True),
            Field("ERRORS", lambda r: _share(r["errors"]), wide=not told, right=True),
            Field("P99", lambda r: _latency(r["p99_seconds"]), wide=not told, right=True),
            Field("EPISODE", lambda r: ", ".join(f"{e['id']} {e['state']}" for e in r["episodes"])),
            Field("KIND", lambda r: r["kind"], wide=True),
            Field("PLATFORM", lambda r: r["platform"], wide=True),
            Field("PROTECTED", lambda r: r["protected"], wide=True),
            Field("WHY", lambda r: r["why"], wide=True),
        ),
        name="target",
        notes=[*_summary(shown), *shown["attention"]],
        empty=f"no targets{where}",
    )


def _received(received: Mapping[str, Any]) -> list[str]:
    """Where telemetry is received and how much, and who sends without being a target."""
    otlp = received.get("otlp", {})
    lines = []
    if otlp.get("why"):
        lines.append(f"OTLP is not received: {otlp['why']}")
    if otlp.get("address"):
        rates = otlp["per_second"]
        lost = sum(n for fates in otlp["items"].values() for fate, n in fates.items() if fate not in _NOT_LOST)
        refused = sum(total for outcome, total in otlp["requests"].items() if outcome != "taken")
        said = [f"{_rate(rates['spans'])} spans/s", f"{_rate(rates['data_points'])} points/s"]
        said += [f"{lost} items not taken"] if lost else []
        said += [f"{refused} requests refused"] if refused else []
        lines.append(f"OTLP at http://{otlp['address']}: {', '.join(said)}")
    return lines + [_unlisted(service) for service in received.get("unlisted", ())]


_NOT_LOST = ("accepted", "unmatched", "not_read")


def _unlisted(service: Mapping[str, Any]) -> str:
    name = "/".join(part for part in (service["namespace"], service["name"]) if part)
    told = [f"{_rate(service['requests_per_second'])} requests/s"]
    told += [f"{_share(service['errors'])} errors"] if service["errors"] is not None else []
    told += [f"p99 {_latency(service['p99_seconds'])}"] if service["p99_seconds"] is not None else []
    return f"seen, but no platform lists it: {name}, {', '.join(told)}; no policy reads it"


def _scored(row: Mapping[str, Any]) -> str:
    """The health score and its state: how well it does its work, where HEALTH is whether it answers."""
    return "?" if row["health_score"] is None else f"{row['health_score']:.2f} {row['health_state'] or '?'}"


def _summary(shown: Mapping[str, Any]) -> list[str]:
    from controller.views.words import count

    telemetry, remediation, loop = shown["telemetry"], shown["remediation"], shown["loop"]
    counts = ", ".join(f"{telemetry[word]} {word}" for word in ("ok", "sick", "unknown") if telemetry[word])
    acting = f"{remediation['policies_that_act']} of {count(remediation['policies'], 'policy', 'policies')} may act"
    active = f"{remediation['active_remediations']} of at most {remediation['max_concurrent']} attempts under way"
    cap = f", capped at {remediation['mode_cap']}" if remediation["mode_cap"] != "Enforce" else ""
    lines = ["; ".join(filter(None, (counts, acting + cap, active)))]
    lines += [f"{platform} does not answer: {why}" for platform, why in telemetry["silent"].items()]
    if loop["metrics"]:
        lines.append(f"leadership {loop['epoch']}, metrics at http://{loop['metrics']}/metrics")
    lines += _received(shown["received"])
    lines += [f"trouble: {loop['trouble']}"] if loop["trouble"] else []
    return lines + [f"policies not in force: {problem}" for problem in loop["policy_problems"]]


@app.command()
def analyze(ctx: typer.Context) -> None:
    """What would be decided now; nothing is done."""
    shown = ask(ctx.obj, "analyze")
    answer = Answer(
        data=shown,
        rows=shown["decisions"],
        fields=(
            Field("ID", lambda r: r["id"]),
            Field("TYPE", lambda r: r["type"]),
            Field("SURE", lambda r: _percent(r["confidence"]), right=True),
            Field("RESULT", lambda r: r["result"]),
            Field("WHAT", lambda r: r["text"]),
            Field("POLICY", lambda r: r["policy"], wide=True),
            Field("TARGET", lambda r: r["target"], wide=True),
            Field("ACTION", lambda r: r["action"], wide=True),
        ),
        name="id",
        empty=_nothing(shown),
    )
    ctx.obj.emit(answer)


def _nothing(shown: Mapping[str, Any]) -> str:
    if shown["wishes"]:
        return "nothing new to decide; what was decided stands: `auto episodes`"
    return "nothing to decide: no condition is known to hold"


@app.command()
def episodes(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
) -> None:
    """Where policies found something, and how far that has come."""
    from controller.views.episodes import history

    session: Session = ctx.obj
    shown = dict(ask(session, "episodes"))
    rows = [row | {"ended": False} for row in shown["episodes"]]
    if every:
        from controller.cli.store import read_records

        shown["history"] = history(read_records(session.settings().state))
        rows = [_ended(row) for row in shown["history"]] + rows
    answer = Answer(
        data=shown,
        rows=rows,
        fields=(
            Field("EPISODE", lambda r: r["episode"]),
            Field("POLICY", lambda r: r["policy"]),
            Field("TARGET", lambda r: r["target"]),
            Field("STATE", lambda r: r["state"]),
            Field("AGE", lambda r: _span(r["age_seconds"]), right=True),
            Field("TRIES", lambda r: r["attempts"], right=True),
            Field("OPENED", lambda r: r["opened"], wide=True),
            Field("SURE", lambda r: _percent(r["confidence"]), wide=True, right=True),
            Field("ACTION", lambda r: r["action"], wide=True),
            Field("DETAIL", lambda r: r["detail"], wide=True),
        ),
        name="episode",
        notes=[_note(row) for row in rows if not row["ended"]],
        empty="no open episodes" if not every else "no episodes",
    )
    session.emit(answer)


def _ended(row: Mapping[str, Any]) -> dict[str, Any]:
    return dict(row) | {"state": row["result"], "age_seconds": row["seconds"], "ended": True}


def _note(row: Mapping[str, Any]) -> str:
    """What a table has no room for: until when, why, and the command that moves it on."""
    until = f" until {row['until'][11:19]}" if row["until"] else ""
    detail = f": {row['detail']}" if row["detail"] else ""
    what = f" ({row['changes']})" if row["changes"] else ""
    hint = f"; {row['next']}" if row["next"] else ""
    return f"{row['episode']} {row['state']}{what}{until}{detail}{hint}"


@app.command()
def why(
    ctx: typer.Context, target: Annotated[str, typer.Argument(metavar="TARGET", help="namespace/name, or name.")]
) -> None:
    """Why nothing happens to a target: every guard by name."""
    shown = ask(ctx.obj, "why", target=target)
    lines = [f"{shown['target']} is {shown['health']}" + (f": {shown['why']}" if shown["why"] else "")]
    for policy in shown["policies"]:
        lines += _policy_lines(policy, wide=ctx.obj.form is Format.WIDE)
    if not shown["policies"]:
        lines += ["", "no policy is in force"]
    ctx.obj.emit(Answer(data=shown, rows=shown["policies"], notes=lines))


def _policy_lines(policy: Mapping[str, Any], *, wide: bool) -> list[str]:
    """A block per policy: the answer first, then what it rests on."""
    values = ", ".join(f"{name} {_value(value)}" for name, value in policy["values"].items())
    lines = ["", f"{policy['policy']} ({policy['mode']}): {policy['answer']}"]
    if policy["holds"] is None:
        return lines
    lines += [f"  when      {policy['when']}", f"  holds     {policy['holds']} ({values or 'it reads no column'})"]
    lines += _terms(policy)
    if policy["confidence"] is not None:
        rests_on = " x ".join(f"{name} {part:.2f}" for name, part in policy["rests_on"].items()) if wide else ""
        lines.append(f"  sure      {_percent(policy['confidence'])}{f' = {rests_on}' if rests_on else ''}")
    if policy["crowd"]:
        lines.append(f"  crowd     {policy['crowd']} targets of this policy wait without an episode")
    if policy["plan"]:
        lines.append(f"  plan      {policy['plan']}")
    refusing = [guard for guard in policy["guards"] if guard["reason"]]
    lines += [f"  refused   {g['guard']}: {g['reason']}{_detail(g)}" for g in refusing]
    passing = [guard["guard"] for guard in policy["guards"] if not guard["reason"]]
    if passing:
        names = ", ".join(passing) if wide or not refusing else f"{len(passing)} guards (-o wide names them)"
        lines.append(f"  allowed   by {names}")
    return lines


def _terms(policy: Mapping[str, Any]) -> list[str]:
    """The value of every part of the condition that is not a column alone, and not the whole."""
    parts = [part for part in policy["terms"] if part["term"] not in (*policy["values"], policy["when"])]
    width = min(60, max((len(part["term"]) for part in parts), default=0))
    rows = [f"{part['term']:<{width}}  {_value(part['value'])}" for part in parts]
    return [f"  {'' if number else 'where':<9} {row}" for number, row in enumerate(rows)]


def _value(value: float | str | bool | None) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float | int) else repr(value)


def _detail(guard: Mapping[str, Any]) -> str:
    return f" ({guard['detail']})" if guard["detail"] else ""


def _percent(value: float | None) -> str:
    return "?" if value is None else f"{value * 100:.0f}%"


def _share(value: float | None) -> str:
    return "?" if value is None else f"{value * 100:.{1 if 0 < value < 0.1 else 0}f}%"


def _rate(value: float | None) -> str:
    return "?" if value is None else f"{value:.{1 if 0 < value < 10 else 0}f}"


def _latency(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    return f"{seconds * 1000:.{1 if seconds < 0.01 else 0}f}ms" if seconds < 1 else f"{seconds:.1f}s"


def _count(value: float | None) -> str:
    return "?" if value is None else f"{value:.0f}"


def _span(value: float | None) -> str:
    from controller.views.words import span

    return "?" if value is None else span(value)


def _bytes(value: float | None) -> str:
    if value is None:
        return "?"
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"
