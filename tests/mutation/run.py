"""Runs tests against mutants, inside pytest: everything is collected once, and each mutant is a fork of that.

In the fork the code of one function is another; then the tests that run through its line are run, quickest first, until
one fails. Tests that start processes of their own see no mutant in them.
"""

import contextlib
import gc
import json
import os
import resource
import signal
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, FunctionType
from typing import TextIO

import coverage
import pytest

from tests.mutation.mutants import Mutant

Place = tuple[object, ...]
KILLED, SURVIVED, TIMEOUT, UNREACHED, IMPOSSIBLE = "killed", "survived", "timeout", "unreached", "impossible"


@dataclass(frozen=True, slots=True)
class How:
    """How to run.

    Attributes:
        results: file to which a line is added for each mutant; those that it has already are left out.
        budget: seconds of work, as tests took without a mutant, that a mutant gets: the quickest that run through its
            line.
        jobs: forks at once.
    """

    results: Path
    budget: float
    jobs: int


class Mutate:
    """A pytest plugin: runs the tests once to see where they go, then those of each mutant in a fork."""

    def __init__(self, mutants: Iterable[Mutant], rooms: Iterable[str], root: Path, how: How) -> None:
        self._mutants, self._rooms, self._root, self._how = list(mutants), list(rooms), root, how
        self._seconds: dict[str, float] = {}
        self._tests: dict[tuple[str, int], set[str]] = defaultdict(set)

    def pytest_configure(self) -> None:
        from hypothesis import HealthCheck, Phase, settings

        # no shrinking: a mutant is dead at the first example; and the same examples in every run
        phases, checks = [Phase.explicit, Phase.generate], list(HealthCheck)
        settings.register_profile(
            "mutation", derandomize=True, database=None, deadline=None, phases=phases, suppress_health_check=checks
        )
        settings.load_profile("mutation")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        lines = self._how.results.with_suffix(".lines.json")
        if lines.exists():
            kept = json.loads(lines.read_text())
            self._seconds = kept["seconds"]
            self._tests.update({(file, line): set(tests) for file, line, tests in kept["tests"]})
        else:
            self._follow(session.items)
            tests = [(file, line, sorted(tests)) for (file, line), tests in self._tests.items()]
            lines.write_text(json.dumps({"seconds": self._seconds, "tests": tests}))
        print(f"{len(self._mutants)} mutants, {len(items)} tests of {sum(self._seconds.values()):.0f} s", flush=True)
        originals = _functions()
        gc.freeze()
        return self._try(items, originals)

    def _try(self, items: dict[str, pytest.Item], functions: dict[Place, list[FunctionType]]) -> bool:
        """Every mutant that has no result yet, and first none at all, which must survive: so the forks are sound."""
        done = {json.loads(line)["name"] for line in _lines(self._how.results)}
        todo = deque(mutant for mutant in self._mutants if mutant.name not in done)
        quick = sorted(items.values(), key=lambda item: self._seconds[item.nodeid])
        sound = _start(lambda: True, quick[: len(quick) * 9 // 10], 600)
        running: dict[int, Mutant | None] = {sound[0]: None}
        deadlines = {sound[0]: sound[1]}
        with self._how.results.open("a") as out:
            while running or todo:
                while todo and len(running) < self._how.jobs:
                    mutant = todo.popleft()
                    chosen, limit = self._chosen(mutant, items)
                    if not chosen:
                        _keep(out, mutant, UNREACHED)
                        continue
                    child, deadlines[child] = _start(partial(_install, mutant, functions), chosen, limit)
                    running[child] = mutant
                for child in list(running):
                    if (fate := _ended(child, deadlines[child])) is None:
                        continue
                    if (mutant := running.pop(child)) is not None:
                        _keep(out, mutant, fate)
                    elif fate != SURVIVED:
                        raise pytest.UsageError("tests fail in a fork without any mutant: no result means anything")
                time.sleep(0.005)
        return True

    def _follow(self, items: list[pytest.Item]) -> None:
        """Run every test once, without a mutant: all pass, and it is known which lines each reaches, and how fast."""
        cover = coverage.Coverage(data_file=None, source=self._rooms, messages=False)
        cover.start()
        for place, item in enumerate(items):
            cover.switch_context(item.nodeid)
            begun = time.process_time()
            reports = _run(item, items[place + 1] if place + 1 < len(items) else None)
            self._seconds[item.nodeid] = time.process_time() - begun
            if failed := [report for report in reports if report.failed]:
                raise pytest.UsageError(f"{item.nodeid} fails without any mutant: {failed[0].longreprtext}")
        cover.stop()
        data = cover.get_data()
        for file in data.measured_files():
            for line, tests in data.contexts_by_lineno(file).items():
                self._tests[file, line] = set(tests) - {""}

    def _chosen(self, mutant: Mutant, items: dict[str, pytest.Item]) -> tuple[list[pytest.Item], float]:
        """The tests for a mutant, and the seconds of work after which they hang."""
        file = str(self._root / mutant.module)
        tests = set().union(*(self._tests[file, line] for line in range(mutant.line, mutant.end + 1)))
        chosen, spent = list[pytest.Item](), 0.0
        for test in sorted(tests, key=lambda test: (self._seconds[test], test)):
            spent += self._seconds[test]
            if spent > self._how.budget and chosen:
                break
            chosen.append(items[test])
        return chosen, 5 + 5 * spent


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _place(code: CodeType) -> Place:
    """Where a function's code comes from: no two functions share it."""
    return code.co_filename, code.co_qualname, code.co_firstlineno, next(code.co_positions()), len(code.co_code)


def _functions() -> dict[Place, list[FunctionType]]:
    """Every function that lives, by where its code comes from."""
    found = defaultdict(list)
    for thing in gc.get_objects():
        if isinstance(thing, FunctionType):
            found[_place(thing.__code__)].append(thing)
    return found


def _outermost(code: CodeType) -> Iterator[CodeType]:
    """The code of functions that are in no other one: of the module, and of its classes."""
    for part in code.co_consts:
        if isinstance(part, CodeType):
            if "__qualname__" in part.co_names and not part.co_flags & 0x2:  # the body of a class
                yield from _outermost(part)
            else:
                yield part


def _install(mutant: Mutant, functions: dict[Place, list[FunctionType]]) -> bool:
    """Give the function that the mutant is about its other code; says whether there is one."""
    original = compile(
        (Path.cwd() / mutant.module).read_text(), str(Path.cwd() / mutant.module), "exec", dont_inherit=True
    )
    installed = False
    for old, new in zip(_outermost(original), _outermost(mutant.make()), strict=True):
        if old == new:
            continue
        for function in functions[_place(old)]:
            function.__code__ = new
            installed = True
    return installed


def _keep(out: TextIO, mutant: Mutant, fate: str) -> None:
    kept = {"name": mutant.name, "module": mutant.module, "line": mutant.line, "fate": fate}
    out.write(json.dumps(kept) + "\n")
    out.flush()


def _start(install: Callable[[], bool], items: list[pytest.Item], limit: float) -> tuple[int, float]:
    """Run tests in a process of its own, after `install`; returns the process, and when it is to be ended."""
    child = os.fork()
    if child == 0:
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 1))
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(null, stream)
        code = 4
        with contextlib.suppress(BaseException):
            try:
                code = (1 if _fails(items) else 0) if install() else 3
            except (SyntaxError, ValueError):
                code = 3
        os._exit(code)
    return child, time.monotonic() + 60 + 20 * limit  # what waits for nothing uses no work up


def _ended(child: int, deadline: float) -> str | None:
    """What became of it; None while it runs."""
    ended, status = os.waitpid(child, os.WNOHANG)
    if ended:
        ends = {0: SURVIVED, 3: IMPOSSIBLE, -signal.SIGXCPU: TIMEOUT, -signal.SIGKILL: TIMEOUT}
        return ends.get(os.waitstatus_to_exitcode(status), KILLED)
    if time.monotonic() < deadline:
        return None
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return TIMEOUT


def _fails(items: list[pytest.Item]) -> bool:
    """Whether one of these tests fails."""
    for place, item in enumerate(items):
        after = items[place + 1] if place + 1 < len(items) else None
        reports = _run(item, after)
        if any(report.failed for report in reports):
            return True
    return False


def _run(item: pytest.Item, after: pytest.Item | None) -> list[pytest.TestReport]:
    from _pytest.runner import runtestprotocol

    return runtestprotocol(item, nextitem=after, log=False)


def collect(tests: Iterable[str], plugin: Mutate) -> int:
    """Let pytest collect these tests, and the plugin run them."""
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:faulthandler", "--capture=no", "--no-header"]
    return pytest.main([*options, *tests], plugins=[plugin])
