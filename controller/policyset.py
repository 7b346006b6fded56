"""The policies by hash: those in force, from files and objects, and those that open episodes need, from the trail."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from controller.core.records import Loaded
from controller.core.state import State
from policies.load import LoadResult, load_files, load_folder
from policies.objects import ObjectsResult, called
from policies.policy import Policy, compile_policy
from telemetry.documents import DocumentError
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin, load_signals

CHECK_EVERY = 2.0
"""Seconds between two looks at the files."""


class Objects(Protocol):
    """Policies that are objects of a cluster's API."""

    def look(self, signals: Definitions, taken: Mapping[str, Policy]) -> ObjectsResult | None:
        """What they say now, beside policies from files; None before they are known."""
        ...


class PolicySet:
    """Reads files, and keeps the last good set in force while they are wrong; the same for each object by itself.

    Attributes:
        signals: that policies may read.
        unreadable: hashes of contents in the trail that this version cannot compile, and why.
    """

    def __init__(self, path: Path | None, signals: Path | None = None, objects: Objects | None = None) -> None:
        self.signals = builtin()
        self.unreadable: dict[str, str] = {}
        self._path = path
        self._signals_path = signals
        self._files: dict[str, Policy] | None = None
        self._objects = objects
        self._found: ObjectsResult | None = None
        self._wrong: tuple[str, ...] = ()
        self._compiled: dict[str, Policy] = {}
        self._stamp: object = None
        self._changing: object = None
        self._looked_at = float("-inf")

    @property
    def problems(self) -> tuple[str, ...]:
        """What is wrong now with files and objects; empty when all of them are in force."""
        objects = self._found.problems.values() if self._found is not None else ()
        return (*self._wrong, *(str(problem) for problems in objects for problem in problems))

    def refresh(self, now: float) -> None:
        """Look at the objects, and at the files if it is time and they changed."""
        self._refresh_files(now)
        if self._objects is not None:
            self._found = self._objects.look(self.signals, self._files or {})

    def _refresh_files(self, now: float) -> None:
        paths = [path for path in (self._path, self._signals_path) if path is not None]
        if not paths or now - self._looked_at < CHECK_EVERY:
            return
        self._looked_at = now
        stamp = tuple(_stamp(path) for path in paths)
        if stamp == self._stamp:
            return
        half_written = self._files is not None and stamp != self._changing  # read it once it has stood still for a look
        self._changing = stamp
        if half_written:
            return
        self._stamp = stamp
        self._read()

    def _read(self) -> None:
        """Take what the files say, if all of it is right."""
        found = load_signals(self._signals_path) if self._signals_path is not None else None
        signals = found.signals if found is not None else self.signals
        problems = found.problems if found is not None else ()
        result = LoadResult(())
        if not problems and self._path is not None:
            folder = self._path.is_dir()
            result = load_folder(self._path, signals) if folder else load_files([self._path], signals)
        self._wrong = tuple(str(problem) for problem in (*problems, *result.problems))
        if not self._wrong:
            self.signals = signals
            self._files = {policy.name: policy for policy in result.policies} if self._path is not None else None

    def changes(self, now: float, state: State) -> list[Loaded]:
        """Records that bring what is in force to what files and objects say."""
        files_known = self._files is not None or self._path is None
        objects_known = self._found is not None or self._objects is None
        if self._path is None and self._objects is None:
            return []
        found = self._found or ObjectsResult({})
        wanted = {policy.name: policy for policy in found.policies.values()} | (self._files or {})
        wrong = {called(name) for name in found.problems}  # what was good of them stays
        self._compiled.update({policy.hash: policy for policy in wanted.values()})
        gone = [Loaded(now, name, "") for name in state.in_force if name not in wanted and name not in wrong]
        new = [
            Loaded(now, name, policy.hash, policy.content)
            for name, policy in wanted.items()
            if state.in_force.get(name) != policy.hash
        ]
        return (gone if files_known and objects_known else []) + new

    def by_hash(self, state: State) -> Mapping[str, Policy]:
        """Every policy that the state names, compiled; contents this version cannot read are left out."""
        for hash_, loaded in state.policies.items():
            if hash_ not in self._compiled and hash_ not in self.unreadable:
                try:
                    self._compiled[hash_] = compile_policy(loaded.content, f"trail:{loaded.policy}")
                except DocumentError as error:
                    self.unreadable[hash_] = str(error)
        self._compiled = {hash_: policy for hash_, policy in self._compiled.items() if hash_ in state.policies}
        return self._compiled

    def in_force(self, state: State) -> Sequence[Policy]:
        """The policies that propose."""
        compiled = self.by_hash(state)
        return [compiled[hash_] for hash_ in state.in_force.values() if hash_ in compiled]


def _stamp(path: Path) -> object:
    """Changes whenever a file does."""
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    except OSError as error:
        return str(error)
