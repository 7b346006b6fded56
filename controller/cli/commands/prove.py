"""audit, settings: what was done, and what is in force."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from controller.cli.app import app, group
from controller.cli.errors import FINDINGS, CliError
from controller.cli.options import Why, span, whole
from controller.cli.output import Answer, Field, tell, writing
from controller.cli.session import Session
from controller.cli.store import reading

_audit = group("audit", "The trail: list, show, verify, export, prune.")


@_audit.command(name="list")
def list_(
    ctx: typer.Context,
    last: Annotated[
        int, typer.Option("--last", parser=whole(1, 1_000_000), metavar="N", help="Only the newest N records.")
    ] = 50,
    about: Annotated[str, typer.Option(metavar="TEXT", help="Only records whose subject holds it.")] = "",
    kind: Annotated[str, typer.Option(metavar="KIND", help="Only of this kind, e.g. Intent.")] = "",
) -> None:
    """The newest records, oldest first."""
    session: Session = ctx.obj
    rows = _newest(session.settings().state, last, about, kind)
    answer = Answer(
        data={"records": rows},
        rows=rows,
        fields=(
            Field("SEQ", lambda r: r["seq"], right=True),
            Field("TIME", lambda r: r["at"][11:19]),
            Field("WHO", lambda r: r["actor"]),
            Field("WHAT", lambda r: r["text"]),
            Field("KIND", lambda r: r["kind"], wide=True),
            Field("EPOCH", lambda r: r["epoch"], wide=True, right=True),
            Field("DATE", lambda r: r["at"], wide=True),
        ),
        name="seq",
        empty="no records",
    )
    session.emit(answer)


def _newest(state: Path, last: int, about: str, kind: str) -> list[dict[str, Any]]:
    from collections import deque

    from controller.views.trail import trail_row

    with reading(state) as store:
        start = 0 if about or kind else max(0, store.head()[0] - last)
        found: deque[dict[str, Any]] = deque(maxlen=last)
        for stored in store.after(start):
            if about in stored.subject and kind.lower() in ("", stored.kind.lower()):
                found.append(trail_row(stored))
    return list(found)


@_audit.command()
def show(
    ctx: typer.Context,
    seq: Annotated[int, typer.Argument(parser=whole(1, 10**15), metavar="SEQ", help="Number of the record.")],
) -> None:
    """One record with everything in it."""
    from controller.views.trail import trail_entry

    with reading(ctx.obj.settings().state) as store:
        stored = store.read(seq)
        if stored is None:
            pruned = store.pruned()
            gone = f"records 1 to {pruned.seq} were pruned, " if pruned else ""
            raise CliError(f"no record {seq}; {gone}the newest is {store.head()[0]}", "NotFound")
        entry = trail_entry(stored)
    lines = [f"{name}: {entry[name]}" for name in ("seq", "at", "actor", "kind", "subject", "text")]
    ctx.obj.emit(Answer(data=entry, notes=[*lines, "", *_indented(entry["record"])]))


def _indented(record: Any) -> Iterator[str]:
    from controller.cli.output import to_yaml

    yield from to_yaml(record).splitlines()


@_audit.command()
def verify(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A copy [the trail itself].")] = None,
    checkpoints: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Exported checkpoints [checkpoints.jsonl beside the trail].")
    ] = None,
    key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Public key that must have signed [signing.pub beside it].")
    ] = None,
) -> None:
    """Check that the trail is what was written.

    Works offline and on a copy. Exit 3 and the first bad record if it was changed.
    """
    from audit.verify import verify as verify_trail
    from controller.settings import STORE

    path = file or ctx.obj.settings().state / STORE
    if not path.is_file():
        raise CliError(f"no trail at {path}", "NoTrail", hint="say which state directory with --state")
    report = verify_trail(path, checkpoints, key)
    data = {
        "ok": report.ok,
        "records": report.records,
        "first_bad": report.first_bad,
        "problem": report.problem,
        "checkpoints": report.checked_checkpoints,
        "vouched": report.vouched,
        "pruned": report.pruned,
        "notes": list(report.notes),
    }
    named = f"record {report.first_bad}"
    where = f"{named}: " if report.first_bad is not None and named not in report.problem else ""
    found = [f"{path} is not what was written: {where}{report.problem}"]
    chained = f"{path}: {report.records} records chain without a fault"
    signed = f"{report.checked_checkpoints} signed checkpoints vouch for {report.pruned + 1} to {report.vouched}"
    fine = [f"{chained}; {signed}" if report.vouched else chained]
    ctx.obj.emit(Answer(data=data, notes=[*(fine if report.ok else found), *(f"note: {n}" for n in report.notes)]))
    raise typer.Exit(0 if report.ok else FINDINGS)


@_audit.command()
def export(
    ctx: typer.Context,
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="A new file [stdout].")] = None,
    csv: Annotated[bool, typer.Option("--csv", help="CSV instead of JSON lines.")] = False,
    after: Annotated[
        int, typer.Option("--after", parser=whole(0, 10**15), metavar="SEQ", help="Only the records behind it.")
    ] = 0,
) -> None:
    """Write every record as JSON lines or CSV."""
    from audit.export import export_csv, export_jsonl

    write = export_csv if csv else export_jsonl
    with reading(ctx.obj.settings().state) as store:
        if file is None:
            with writing():
                write(store.after(after), sys.stdout)
            return
        try:
            with file.open("x", encoding="utf-8", newline="") as out:
                file.chmod(0o600)
                count = write(store.after(after), out)
        except OSError as error:
            raise CliError(f"{file} can not be written: {error.strerror}") from error
    tell(f"wrote {count} records to {file}")


@_audit.command()
def prune(
    ctx: typer.Context,
    older: Annotated[
        float, typer.Option("--older-than", parser=span(0.0, 36_500 * 86_400.0), metavar="DURATION", help="E.g. 90d.")
    ],
    why: Why,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
) -> None:
    """Take old records away for good; export them first.

    Only what a signed checkpoint outside the trail vouches for goes, after the whole trail was verified. What went,
    when, and why is signed. A running loop is not disturbed; the room is used for new records.
    """
    from audit import prune as pruning
    from audit.journal import JournalError
    from controller.cli.store import user
    from controller.clock import Clock
    from controller.settings import STORE

    path, now = ctx.obj.settings().state / STORE, Clock().now()
    if not path.is_file():
        raise CliError(f"no trail at {path}", "NoTrail", hint="say which state directory with --state")
    try:
        wish = pruning.Wish(now - older, user(), why)
        done = pruning.plan(path, wish.before) if dry_run else pruning.prune(path, wish, now)
    except JournalError as error:
        raise CliError(f"{path}: {error}", type(error).__name__) from error
    verb = "would go" if dry_run else "went"
    said = f"{done.records} records {verb}; the trail begins with record {done.first}"
    rest = f"note: no more: {done.why_not_more}"
    data = {"records": done.records, "first": done.first, "dry_run": dry_run, "why_not_more": done.why_not_more}
    ctx.obj.emit(Answer(data=data, notes=[said, rest]))


@app.command()
def settings(ctx: typer.Context) -> None:
    """Every setting, its value, and where that came from."""
    from controller.settings import Keys, allowed

    session: Session = ctx.obj
    found = session.settings()
    rows = [
        {
            "key": name,
            "value": _plain(getattr(found, name)),
            "from": found.origin(name),
            "allowed": allowed(name),
            "meaning": field.description,
            "why": dict(field.json_schema_extra)["why"] if isinstance(field.json_schema_extra, dict) else "",
        }
        for name, field in Keys.model_fields.items()
    ]
    answer = Answer(
        data={"settings": rows},
        rows=rows,
        fields=(
            Field("KEY", lambda r: r["key"]),
            Field("VALUE", lambda r: r["value"]),
            Field("FROM", lambda r: r["from"]),
            Field("MEANING", lambda r: r["meaning"]),
            Field("ALLOWED", lambda r: r["allowed"], wide=True),
            Field("WHY", lambda r: r["why"], wide=True),
        ),
        name="key",
    )
    session.emit(answer)


def _plain(value: Any) -> Any:
    """A value as a file would have it."""
    from telemetry.documents.quantities import format_duration

    if isinstance(value, float):
        return format_duration(value)
    return str(value) if isinstance(value, Path) else value
