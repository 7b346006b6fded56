"""policy: list, show, explain and lint; of the library and of the user's own files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.app import group
from controller.cli.errors import CliError, bad_input
from controller.cli.output import Answer, Field
from controller.cli.session import Session

if TYPE_CHECKING:
    from policies.load import LoadResult

_policy = group("policy", "Policies: list, show, explain, lint.")
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a policy, or a file with one.")]
FIELDS = (
    Field("POLICY", lambda r: r["policy"]),
    Field("MODE", lambda r: r["mode"]),
    Field("ACTIONS", lambda r: ", ".join(r["actions"])),
    Field("WHEN", lambda r: r["when"]),
    Field("FROM", lambda r: r["from"], wide=True),
    Field("SEVERITY", lambda r: r["severity"], wide=True),
    Field("OPERATIONS", lambda r: r["operations"], wide=True, right=True),
    Field("HASH", lambda r: r["hash"][:12], wide=True),
)


@_policy.command(name="list")
def list_(ctx: typer.Context) -> None:
    """The policies of the library, and your own."""
    session: Session = ctx.obj
    rows = [_row(policy, "library") for policy in _library(session).policies]
    own = _own(session)
    if own is not None:
        rows += [_row(policy, own[0]) for policy in own[1].policies]
    notes = ["`auto policy show NAME > policies/NAME.yaml` makes one of the library yours: set its mode and targets"]
    if own is not None and own[1].problems:
        notes += [f"not in force: {problem}" for problem in own[1].problems]
    session.emit(Answer(data={"policies": rows}, rows=rows, fields=FIELDS, name="policy", notes=notes))


@_policy.command()
def show(ctx: typer.Context, name: Name) -> None:
    """A policy as its file says it."""
    session: Session = ctx.obj
    found, result = _find(session, name)
    document = result.documents[found.name]
    lines = [line for line in document.text.splitlines() if not line.startswith("# yaml-language-server:")]
    data = {"policy": found.name, "file": document.file, "document": document.data}
    session.emit(Answer(data=data, notes=lines))


@_policy.command()
def explain(ctx: typer.Context, name: Name) -> None:
    """What a policy does, in words: what it reads, and what it costs."""
    from policies.explain import described
    from policies.explain import explain as explain_policy

    session: Session = ctx.obj
    found, _ = _find(session, name)
    explained = explain_policy(found, _signals(session))
    session.emit(Answer(data=explained, notes=described(explained)))


@_policy.command()
def lint(
    ctx: typer.Context,
    path: Annotated[
        Path | None, typer.Argument(metavar="[PATH]", help="File or directory [the setting `policies`].")
    ] = None,
) -> None:
    """Check policy files; exit 2 with everything that is wrong."""
    session: Session = ctx.obj
    path = path or session.settings().policies
    if path is None:
        raise bad_input("which policies? give a file or a directory")
    result = _load(session, path)
    if result.problems:
        count = f"{len(result.problems)} problem{'s' if len(result.problems) > 1 else ''}"
        raise bad_input(f"{path}: {count}:", *map(str, result.problems))
    rows = [_row(policy, str(path)) for policy in result.policies]
    answer = Answer(data={"policies": rows}, rows=rows, fields=FIELDS, name="policy", empty=f"no policies in {path}")
    session.emit(answer)


def _row(policy: Any, origin: str) -> dict[str, Any]:
    from telemetry.expression import one_line

    return {
        "policy": policy.name,
        "from": origin,
        "mode": policy.mode.label,
        "actions": [rung.action for rung in policy.rungs],
        "when": one_line(policy.when.source),
        "severity": policy.severity.label,
        "operations": policy.when.cost() + policy.until.cost(),
        "hash": policy.hash,
    }


def _signals(session: Session) -> Any:
    """The signals in force, or the problems with them as an error."""
    from telemetry.signals.load import load_signals

    found = load_signals(session.settings().signals)
    if found.problems:
        raise bad_input("the signals are not used:", *map(str, found.problems))
    return found.signals


def _load(session: Session, path: Path) -> "LoadResult":
    from policies.load import load_files, load_folder

    signals = _signals(session)
    return load_folder(path, signals) if path.is_dir() else load_files([path], signals)


def _library(session: Session) -> "LoadResult":
    from policies.library import load_library

    return load_library(_signals(session))


def _own(session: Session) -> "tuple[str, LoadResult] | None":
    from policies.library import FOLDER

    path = session.settings().policies
    return None if path is None or path == FOLDER else (str(path), _load(session, path))


def _find(session: Session, name: str) -> "tuple[Any, LoadResult]":
    """The policy with this name, the user's own before the library's; or the one in this file."""
    results = [_load(session, Path(name))] if Path(name).is_file() else []
    own = None if results else _own(session)
    results += [own[1]] if own is not None else []
    results += [] if Path(name).is_file() else [_library(session)]
    for result in results:
        for policy in result.policies:
            if name in (policy.name, policy.name.rpartition("/")[2]) or Path(name).is_file():
                return policy, result
    problems = [str(problem) for result in results for problem in result.problems]
    if problems:
        raise bad_input(f"no policy {name!r} that is right:", *problems)
    names = ", ".join(policy.name for result in results for policy in result.policies)
    raise CliError(f"no policy is called {name!r}; there are: {names or 'none'}", "NotFound")
