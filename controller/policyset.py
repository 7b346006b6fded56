"""The policies by hash: those in force from files, and those that open episodes still need from the trail."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from controller.core.records import Loaded
from controller.core.state import State
from policies.load import LoadResult, load_files, load_folder
from policies.policy import Policy, compile_policy
from telemetry.documents import DocumentError
from telemetry.signals.load import builtin, load_signals

CHECK_EVERY = 2.0
"""Seconds between two looks at the files."""


class PolicySet:
    """Reads files, and keeps the last good set in force while they are wrong.

    Attributes:
        problems: what is wrong with the files now; empty when they are in force.
        signals: that policies may read.
        unreadable: hashes of contents in the trail that this version cannot compile, and why.
    """

    def __init__(self, path: Path | None, signals: Path | None = None) -> None:
        self.problems: tuple[str, ...] = ()
        self.signals = builtin()
        self.unreadable: dict[str, str] = {}
        self._path = path
        self._signals_path = signals
        self._files: dict[str, Policy] | None = None
        self._compiled: dict[str, Policy] = {}
        self._stamp: object = None
        self._changing: object = None
        self._looked_at = float("-inf")

    def refresh(self, now: float) -> None:
        """Look at the files if it is time and they changed."""
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
        self.problems = tuple(str(problem) for problem in (*problems, *result.problems))
        if not self.problems:
            self.signals = signals
            self._files = {policy.name: policy for policy in result.policies} if self._path is not None else None

    def changes(self, now: float, state: State) -> list[Loaded]:
        """Records that bring what is in force to what the files say."""
        if self._files is None:
            return []
        self._compiled.update({policy.hash: policy for policy in self._files.values()})
        gone = [Loaded(now, name, "") for name in state.in_force if name not in self._files]
        new = [
            Loaded(now, name, policy.hash, policy.content)
            for name, policy in self._files.items()
            if state.in_force.get(name) != policy.hash
        ]
        return gone + new

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
