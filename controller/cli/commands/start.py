"""init, loop, execute, demo: what makes a controller run."""

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.cli.app import app
from controller.cli.commands import local
from controller.cli.errors import FINDINGS, USAGE, CliError
from controller.cli.options import whole
from controller.cli.output import Answer, tell
from controller.cli.session import Session

if TYPE_CHECKING:
    from controller.settings import Settings

Services = Annotated[str | None, typer.Option(metavar="FILE", help="Start its supervisor if none runs.")]
Policies = Annotated[str | None, typer.Option(metavar="PATH", help="Policy file, directory of them, or library.")]
Interval = Annotated[str | None, typer.Option(metavar="TIME", help="Between two ticks, 50ms to 1m [1s].")]
Mode = Annotated[
    str | None, typer.Option(metavar="MODE", help="No policy acts above it: Observe, Recommend, Approve, Enforce.")
]
DryRun = Annotated[bool | None, typer.Option("--dry-run", help="Decide as always, write nothing to any target.")]


@app.command()
def init(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where [here].")] = Path(),
) -> None:
    """Write a services file, a policy and a small service to try."""
    from importlib.resources import files

    examples = files("controller.cli") / "examples"
    written, kept = [], []
    for name in ("services.yaml", "policies/restart-hung.yaml", "hello.py"):
        path = folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x") as file:
                file.write((examples / name).read_text())
            written.append(str(path))
        except FileExistsError:
            kept.append(str(path))
        except OSError as error:
            raise CliError(f"{path} can not be written: {error.strerror}", exit_code=USAGE) from error
    _write_schemas(folder)
    notes = [*(f"wrote {path}" for path in written), *(f"kept {path}, which was there" for path in kept)]
    there = f"cd {folder} && " if folder != Path() else ""
    notes += ["", "next:", f"  {there}auto local up services.yaml", "  auto loop --policies policies"]
    ctx.obj.emit(Answer(data={"written": written, "kept": kept}, notes=notes))


def _write_schemas(folder: Path) -> None:
    """What an editor completes the files by; the state directory is there for what a person need not see."""
    from controller.schemas import write
    from controller.settings import Keys

    try:
        write(folder / Keys.model_fields["state"].default / "schema")
    except OSError as error:
        raise CliError(f"{error.filename} can not be written: {error.strerror}", exit_code=USAGE) from error


@app.command()
def loop(
    ctx: typer.Context,
    *,
    services: Services = None,
    policies: Policies = None,
    interval: Interval = None,
    mode: Mode = None,
    dry_run: DryRun = None,
    metrics: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Loopback address of /metrics and /healthz, or off.")
    ] = None,
    otlp: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Loopback address that receives OTLP over HTTP, or off.")
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="One tick, then end.")] = False,
) -> None:
    """Watch, decide and act until stopped."""
    session: Session = ctx.obj
    settings = session.settings(
        services=services,
        policies=policies,
        interval=interval,
        mode_cap=mode,
        dry_run=dry_run,
        metrics=metrics,
        otlp=otlp,
    )
    _ready(settings)
    stop = Event()
    with _signals(stop), _leading(settings) as running:
        if once:
            running.turn()
        else:
            _serve(settings, running, stop)


def _serve(settings: "Settings", running: Any, stop: Event) -> None:
    """Turn until told to stop, answering on the control socket meanwhile; a dry run leaves that to the real loop."""
    from controller.control import Control
    from controller.views import VIEWS

    if settings.dry_run:
        tell("dry run: decides by a copy of the trail, and writes nothing")
        running.run(settings.interval, stop)
        return
    running.turn()  # so that whoever finds the socket finds an answer
    with contextlib.closing(Control(settings.state, running, VIEWS)):
        tell(f"gyrostat leads in {settings.state}; Ctrl-C ends it, the services go on")
        running.run(settings.interval, stop)


@app.command()
def execute(
    ctx: typer.Context,
    *,
    most: Annotated[
        int, typer.Option("--max", parser=whole(1, 100), metavar="N", help="Start at most so many, 1 to 100.")
    ] = 1,
    wait: Annotated[
        str, typer.Option(metavar="FOR", help="verified: until each is verified or undone; closed: and released.")
    ] = "verified",
    services: Services = None,
    policies: Policies = None,
    interval: Interval = None,
    mode: Mode = None,
    dry_run: DryRun = None,
) -> None:
    """Act once on what is due, and wait until it is verified.

    Exit 3 if something is neither verified nor undone at the end.
    """
    session: Session = ctx.obj
    if wait not in ("verified", "closed"):
        raise typer.BadParameter(f"{wait!a} is not allowed (verified, closed)", param_hint="--wait")
    settings = session.settings(
        services=services, policies=policies, interval=interval, mode_cap=mode, dry_run=dry_run, metrics="off"
    )
    _ready(settings)
    stop = Event()
    with _signals(stop), _leading(settings) as running:
        from controller.execute import execute as execute_once

        report = execute_once(running, settings.interval, most, wait_closed=wait == "closed", stop=stop)
    notes = [f"started {len(report.started)}: {', '.join(report.started) or 'nothing was due'}"]
    notes += [f"still open: {', '.join(report.open)}"] if report.open else []
    session.emit(Answer(data={"started": report.started, "open": report.open}, notes=notes))
    raise typer.Exit(FINDINGS if report.open else 0)


@app.command()
def demo(
    ctx: typer.Context,
    mode: Mode = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave its files there, to go on with.")] = False,
) -> None:
    """Break real services and watch them healed."""
    from controller.demo.run import main as run_demo

    ctx.obj.settings(mode_cap=mode)  # a mode that does not exist is told as everywhere
    raise typer.Exit(run_demo(mode, keep=keep))


def _ready(settings: "Settings") -> None:
    """Log as asked, check the policies, and start the supervisor where a services file says so."""
    from controller.instrumentation import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    if settings.policies is None and settings.kubernetes == "off":
        tell("note: without --policies the loop only watches")
    if settings.services is not None and local.running(settings.state) is None:
        tell(f"supervisor {local.start(settings.services, settings.state)} keeps the services of {settings.services}")


@contextlib.contextmanager
def _leading(settings: "Settings") -> Iterator[Any]:
    """A loop that leads, with what keeps it from leading told in one line."""
    from audit.journal import Fenced, JournalError
    from controller.compose import leading_loop
    from controller.leadership import AlreadyLeading

    try:
        with leading_loop(settings) as running:
            yield running
    except AlreadyLeading as error:
        raise CliError(str(error), "AlreadyLeading", hint="`auto status` shows the loop that runs") from error
    except Fenced as error:
        raise CliError(f"another process took over: {error}", "Fenced") from error
    except JournalError as error:
        raise CliError(f"the store can not be used: {error}", type(error).__name__) from error
    except OSError as error:
        raise CliError(str(error), "CannotStart") from error


@contextlib.contextmanager
def _signals(stop: Event) -> Iterator[None]:
    """TERM, and a first Ctrl-C, end the loop in order; a second Ctrl-C ends it at once."""

    def end(_number: int, _frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
