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
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import CodeType, FunctionType

import coverage
import pytest

from tests.mutation.mutants import Mutant

BUDGET = 15.0
"""Seconds of work, as tests took without a mutant, that one mutant gets: the quickest that run through its line."""
KILLED, SURVIVED, TIMEOUT, UNREACHED, IMPOSSIBLE = "killed", "survived", "timeout", "unreached", "impossible"


class Mutate:
    """A pytest plugin: runs the tests once to see where they go, then those of each mutant in a fork."""

    def __init__(self, mutants: Iterable[Mutant], rooms: Iterable[str], root: Path, results: Path) -> None:
        self._mutants, self._rooms, self._root, self._results = list(mutants), list(rooms), root, results
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
        self._follow(session.items)
        print(f"{len(self._mutants)} mutants, {len(items)} tests of {sum(self._seconds.values()):.0f} s", flush=True)
        originals = _functions()
        gc.freeze()
        done = {json.loads(line)["name"] for line in _lines(self._results)}
        with self._results.open("a") as out:
            for mutant in self._mutants:
                if mutant.name in done:
                    continue
                chosen, limit = self._chosen(mutant, items)
                fate = _fate(mutant, originals, chosen, limit) if chosen else UNREACHED
                kept = {"name": mutant.name, "module": mutant.module, "line": mutant.line, "fate": fate}
                out.write(json.dumps(kept) + "\n")
                out.flush()
        return True

    def _follow(self, items: list[pytest.Item]) -> None:
        """Run every test once, without a mutant: all pass, and it is known which lines each reaches, and in what time."""
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
            if spent > BUDGET and chosen:
                break
            chosen.append(items[test])
        return chosen, 5 + 5 * spent


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


Place = tuple[object, ...]


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
    original = compile((Path.cwd() / mutant.module).read_text(), str(Path.cwd() / mutant.module), "exec", dont_inherit=True)
    installed = False
    for old, new in zip(_outermost(original), _outermost(mutant.make()), strict=True):
        if old == new:
            continue
        for function in functions[_place(old)]:
            function.__code__ = new
            installed = True
    return installed


def _fate(mutant: Mutant, functions: dict[Place, list[FunctionType]], items: list[pytest.Item], limit: float) -> str:
    """What became of a mutant, in a process of its own."""
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
                code = (1 if _fails(items) else 0) if _install(mutant, functions) else 3
            except (SyntaxError, ValueError):
                code = 3
        os._exit(code)
    deadline = time.monotonic() + 60 + 10 * limit  # what waits for nothing uses no work up
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            ends = {0: SURVIVED, 3: IMPOSSIBLE, -signal.SIGXCPU: TIMEOUT, -signal.SIGKILL: TIMEOUT}
            return ends.get(os.waitstatus_to_exitcode(status), KILLED)
        time.sleep(0.005)
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
