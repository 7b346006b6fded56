"""`kubectl gyrostat`: what the controller says in a cluster's API, read with the rights of whoever asks.

It speaks to no controller: what is there is read by the API server, so it works for who may see one namespace only.
"""

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from controller.cli.errors import FINDINGS, CliError, bad_input
from controller.cli.output import Answer, Field, Format, emit

if TYPE_CHECKING:
    from controller.cluster.look import Cluster

PROGRAM = "kubectl gyrostat"
app = typer.Typer(
    name=PROGRAM,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="What Gyrostat sees, would do, does and did, by the cluster's API and with your own rights.",
    epilog="Exit codes: 0 done, 1 failed, 2 bad input, 3 something needs a person or is not in force.",
)
_policy = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, help="Policies: lint, explain.")
app.add_typer(_policy, name="policy")

_POLICIES = (
    Field("POLICY", lambda r: r["policy"]),
    Field("MODE", lambda r: r["mode"]),
    Field("READY", lambda r: r["ready"]),
    Field("OPEN", lambda r: r["open"], right=True),
    Field("WOULD ACT", lambda r: r["would_act"], right=True),
    Field("HEALED", lambda r: r["healed"], right=True),
    Field("UNDONE", lambda r: r["undone"], right=True),
    Field("BY ITSELF", lambda r: r["recovered"], right=True),
    Field("HUMAN", lambda r: r["needs_human"], right=True),
)
_EPISODES = (
    Field("NAMESPACE", lambda r: r["namespace"]),
    Field("EPISODE", lambda r: r["episode"]),
    Field("POLICY", lambda r: r["policy"]),
    Field("TARGET", lambda r: r["target"]),
    Field("STATE", lambda r: r["result"] or r["state"]),
    Field("OPENED", lambda r: r["opened"]),
    Field("DETAIL", lambda r: r["detail"], wide=True),
)


@dataclass(frozen=True, slots=True)
class _Run:
    """The global options of one run."""

    form: Format
    headers: bool
    kubeconfig: Path | None
    context: str
    namespace: str
    everywhere: bool

    def emit(self, answer: Answer) -> None:
        emit(answer, self.form, headers=self.headers)


@app.callback()
def root(
    ctx: typer.Context,
    *,
    namespace: Annotated[str, typer.Option("-n", "--namespace", help="Which one [that of the context].")] = "",
    everywhere: Annotated[bool, typer.Option("-A", "--all-namespaces", help="Every namespace.")] = False,
    kubeconfig: Annotated[Path | None, typer.Option(metavar="FILE", help="[KUBECONFIG, else ~/.kube/config].")] = None,
    context: Annotated[str, typer.Option(help="In that file [its current one].")] = "",
    output: Annotated[
        str, typer.Option("-o", "--output", metavar="FORM", help="table, wide, json, yaml, jsonl or name.")
    ] = "table",
    no_headers: Annotated[bool, typer.Option("--no-headers", help="Tables without headings.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an unexpected error.")] = False,
) -> None:
    """Take the global options."""
    del debug
    if output not in [*Format]:
        raise typer.BadParameter(f"{output!a} is not allowed ({', '.join(Format)})")
    ctx.obj = _Run(Format(output), not no_headers, kubeconfig, context, namespace, everywhere)


@contextlib.contextmanager
def _cluster(run: _Run) -> "Iterator[Cluster]":
    """The cluster of the reader's own kubeconfig.

    Raises:
        CliError: there is no way, the kinds are not installed, or the reader may not look.
    """
    from controller.cluster.look import Cluster
    from telemetry.sources.kubernetes.access import AccessError, by_kubeconfig
    from telemetry.sources.kubernetes.client import Client, Refused

    try:
        way = by_kubeconfig(run.kubeconfig, run.context)
        space = "" if run.everywhere else run.namespace or way.namespace
        with contextlib.closing(Client(way, 15.0)) as client:
            yield Cluster(client, space)
    except AccessError as error:
        raise CliError(str(error), "NoCluster") from error
    except Refused as refused:
        if refused.status == 404:
            hint = "install the chart, or ask who runs the cluster"
            raise CliError("Gyrostat's kinds are not installed in this cluster", "NotInstalled", hint=hint) from refused
        hint = "-n names a namespace in which you may look" if refused.status == 403 else ""
        raise CliError(str(refused), refused.reason or "Refused", hint=hint) from refused
    except OSError as error:
        raise CliError(f"the cluster does not answer: {error}", "NoAnswer") from error


@app.command()
def status(ctx: typer.Context) -> None:
    """Policies, and how each does. Exit 3 if one is not in force or needs a person."""
    with _cluster(ctx.obj) as cluster:
        rows = cluster.policies()
    notes = [f"{row['policy']}: {row['message']}" for row in rows if row["ready"] != "True"]
    waiting = [(row["policy"], row["needs_human"]) for row in rows if row["needs_human"]]
    notes += [f"{policy}: {count} {'needs' if count == 1 else 'need'} a person" for policy, count in waiting]
    answer = Answer({"policies": rows}, rows, _POLICIES, "policy", notes, "no policies: `kubectl apply` one")
    ctx.obj.emit(answer)
    raise typer.Exit(FINDINGS if notes else 0)


@app.command()
def episodes(
    ctx: typer.Context, every: Annotated[bool, typer.Option("--all", help="The latest that ended, too.")] = False
) -> None:
    """Where policies found something, and how far that has come."""
    with _cluster(ctx.obj) as cluster:
        rows = cluster.episodes(every=every)
    ctx.obj.emit(
        Answer({"episodes": rows}, rows, _EPISODES, "episode", empty="no episodes" if every else "none is open")
    )


@app.command()
def analyze(ctx: typer.Context) -> None:
    """What would be done if the modes of policies let it, and what else stands in the way."""
    with _cluster(ctx.obj) as cluster:
        rows = cluster.episodes()
        policies = cluster.policies()
    would = [row for row in rows if row["held"] in ("Mode", "NeedsApproval")]
    held = {
        reason: sum(row["held"] == reason for row in rows) for reason in sorted({row["held"] for row in rows} - {""})
    }
    notes = [f"{count} held: {reason}" for reason, count in held.items()]
    notes += [
        f"{p['policy']}: of those that ended, {p['recovered']} recovered by themselves"
        for p in policies
        if p["recovered"]
    ]
    answer = Answer(
        {"would_act": would, "held": held}, would, _EPISODES, "episode", notes, "nothing waits for a mode or a yes"
    )
    ctx.obj.emit(answer)


@app.command()
def why(ctx: typer.Context, target: Annotated[str, typer.Argument(metavar="NAME", help="Of the workload.")]) -> None:
    """Why something or nothing happens to a workload: its episodes, and what was said of it."""
    name = target.rpartition("/")[2]
    with _cluster(ctx.obj) as cluster:
        mine = [row for row in cluster.episodes(every=True) if row["target"].rpartition("/")[2] == name]
        said = cluster.events(name)
    lines = [line for row in mine for line in _episode_lines(row)] or [f"no policy found anything about {name}"]
    lines += ["", "said of it:"] if said else []
    lines += [f"  {row['time'][11:19]}  {row['reason']:<20} {row['note']}" for row in said]
    ctx.obj.emit(Answer({"target": name, "episodes": mine, "events": said}, notes=lines))


def _episode_lines(row: Mapping[str, Any]) -> list[str]:
    lines = [f"{row['episode']} by {row['policy']}: {row['result'] or row['state']}"]
    lines += [
        f"  {key:<9} {row[key]}" for key in ("held", "detail", "action", "changes", "opened", "closed") if row[key]
    ]
    return lines


@_policy.command()
def lint(
    ctx: typer.Context, paths: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Policies in YAML.")]
) -> None:
    """Check policies by themselves and against the cluster; exit 2 with everything that is wrong."""
    from controller.cluster.look import problems
    from telemetry.documents import DocumentError, parse_all
    from telemetry.documents.files import read_file

    wrong: list[str] = []
    rows: list[dict[str, Any]] = []
    with _cluster(ctx.obj) as cluster:
        for file in paths:
            try:
                documents = parse_all(read_file(file), str(file))
            except DocumentError as error:
                wrong += map(str, error.problems)
                continue
            for document in documents:
                found = problems(document)
                wrong += found
                if not found:
                    rows.append(_against(cluster, document, wrong))
    if wrong:
        raise bad_input(f"{len(wrong)} problem{'s' if len(wrong) > 1 else ''}:", *wrong)
    fields = (
        Field("POLICY", lambda r: r["policy"]),
        Field("SELECTS NOW", lambda r: len(r["targets"]), right=True),
        Field("API SERVER", lambda r: r["server"]),
        Field("TARGETS", lambda r: ", ".join(r["targets"][:5]), wide=True),
    )
    notes = [
        f"{row['policy']} selects nothing now: are kinds, names and labels right?" for row in rows if not row["targets"]
    ]
    ctx.obj.emit(Answer({"policies": rows}, rows, fields, "policy", notes))


def _against(cluster: "Cluster", document: Any, wrong: list[str]) -> dict[str, Any]:
    """What the cluster says of a policy that is right by itself."""
    from policies.policy import compile_policy
    from telemetry.signals.load import builtin

    policy = compile_policy(document, signals=builtin())
    targets = cluster.matching(policy)
    answer = cluster.try_out(document)
    told = "would take it" if answer.ok or answer.status == 409 else ""
    if answer.status == 403:
        told = "not asked: you may not create it"
    elif not told:
        wrong.append(f"{document.file}: the API server refuses it: {_message(answer.body)}")
    if len(targets) > policy.selector.max:
        place = document.problem(
            ("spec", "targets"), f"selects {len(targets)} workloads now", f"max is {policy.selector.max}"
        )
        wrong.append(str(place))
    return {"policy": policy.name, "targets": targets, "server": told}


def _message(body: bytes) -> str:
    import json

    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body[:300].decode(errors="replace")


@_policy.command()
def explain(ctx: typer.Context, name: Annotated[str, typer.Argument(metavar="NAME", help="Of a policy.")]) -> None:
    """What a policy of the cluster does, in words."""
    from controller.cluster.look import named
    from policies.explain import described
    from policies.explain import explain as explain_policy
    from telemetry.documents import DocumentError
    from telemetry.signals.load import builtin

    with _cluster(ctx.obj) as cluster:
        objects = cluster.objects()
    try:
        policy = next(named(objects, name), None)
    except DocumentError as error:
        raise bad_input(f"{name} is not in force:", *map(str, error.problems)) from error
    if policy is None:
        names = ", ".join(made["metadata"]["name"] for made in objects) or "none"
        raise CliError(f"no policy is called {name!r}; there are: {names}", "NotFound")
    explained = explain_policy(policy, builtin())
    ctx.obj.emit(Answer(data=explained, notes=described(explained)))


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run a command line and exit with its code."""
    from controller.cli.entry import run

    sys.exit(run(sys.argv[1:] if argv is None else list(argv), PROGRAM))
