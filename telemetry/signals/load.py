"""Signals from files: those of the build, and a user's that replace or add to them. Nothing here raises."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from telemetry.columns import ColumnSpec, Kind
from telemetry.documents import Document, DocumentError, Problem, parse_all, validate
from telemetry.documents.files import read_file
from telemetry.expression import Derived
from telemetry.signals.definitions import Definitions, compile_definitions, needs
from telemetry.signals.model import SignalsFile

BUILTIN = Path(__file__).parent
"""The folder of the build's own."""
SUFFIXES = (".yaml", ".yml")
MAX_FILES = 100


@dataclass(frozen=True, slots=True)
class SignalsResult:
    """What was read.

    Attributes:
        signals: those that are right.
        problems: everything that is wrong; a set is valid if there are none.
    """

    signals: Definitions
    problems: tuple[Problem, ...] = ()


class _Set:
    """What the files say, name by name, with the place of each."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.constants: dict[str, float] = {}
        self.signals: dict[str, tuple[SignalsFile, Document]] = {}
        self._given: dict[tuple[str, str], str] = {}

    def take(self, document: Document) -> None:
        """One document, of the build's own or of the user's."""
        try:
            made = validate(document, SignalsFile)
        except DocumentError as error:
            self.problems += error.problems
            return
        for key in ("constants", "signals"):
            for name in getattr(made, key):
                where = self._given.setdefault((key, name), f"{document.file}:{document.place((key, name))[0]}")
                if where != f"{document.file}:{document.place((key, name))[0]}":
                    self.problems.append(
                        document.problem((key, name), f"is already given in {where}", "keep one", key=True)
                    )
        self.constants.update(made.constants)
        self.signals.update(dict.fromkeys(made.signals, (made, document)))

    def user_files_follow(self) -> None:
        """From here on a name that is built in may be given again, once."""
        self._given.clear()

    def compiled(self) -> Definitions:
        return compile_definitions({name: self._derived(name) for name in self.signals}, self._tell)

    def _derived(self, name: str) -> Derived:
        spec = self.signals[name][0].signals[name]
        kind = Kind(spec.kind)
        unit = (spec.unit or "1") if kind is Kind.NUMBER else ""
        used = {word: self.constants[word] for word in sorted(needs(spec.is_) & self.constants.keys())}
        return Derived(ColumnSpec(name, kind, unit, spec.meaning), spec.is_, used)

    def _tell(self, name: str, message: str, hint: str, offset: int) -> None:
        document = self.signals[name][1]
        path = ("signals", name) if offset < 0 else ("signals", name, "is")
        self.problems.append(document.problem(path, message, hint, offset=max(offset, 0)))


def load_signals(folder: Path | None = None) -> SignalsResult:
    """The signals of the build, and those of a user's folder over them."""
    found = _Set()
    for document in _documents(BUILTIN, found.problems):
        found.take(document)
    if folder is not None:
        found.user_files_follow()
        for document in _documents(folder, found.problems):
            found.take(document)
    signals = found.compiled()
    return SignalsResult(signals, tuple(found.problems))


@cache
def builtin() -> Definitions:
    """The signals of the build."""
    return load_signals().signals


def _documents(folder: Path, problems: list[Problem]) -> list[Document]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES and path.name[0] != ".")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        problems.append(Problem(str(folder), 1, 1, "", f"cannot be read: {reason}", "a folder of signals files"))
        return []
    if len(paths) > MAX_FILES:
        problems.append(Problem(str(folder), 1, 1, "", f"holds {len(paths)} files", f"at most {MAX_FILES}"))
        return []
    documents: list[Document] = []
    for path in paths:
        try:
            documents += parse_all(read_file(path, folder), str(path))
        except DocumentError as error:
            problems += error.problems
    return documents
