"""Policies from files. Nothing here raises: what is wrong is returned, and the caller chooses what to make of it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from policies.policy import Policy, compile_policy
from telemetry.documents import Document, DocumentError, Problem, parse_all
from telemetry.documents.files import read_file
from telemetry.expression import MAX_OPERATIONS_OF_A_SET, Program
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin

MAX_FILES = 1000
SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What was read.

    Attributes:
        policies: those that are right by themselves, by name; a name that is given twice is in none of them.
        problems: everything that is wrong; a set is valid if there are none.
        documents: where each of the policies stands, by name.
    """

    policies: tuple[Policy, ...]
    problems: tuple[Problem, ...] = ()
    documents: Mapping[str, Document] = field(default_factory=dict)


def load_folder(path: Path, signals: Definitions | None = None) -> LoadResult:
    """Every policy in the YAML files of a folder; not in folders inside, nor in files whose name starts with a dot."""
    try:
        found = sorted(entry for entry in path.iterdir() if entry.suffix in SUFFIXES and entry.name[0] != ".")
    except OSError as error:
        return LoadResult((), (_problem(path, f"cannot be read: {(error.strerror or str(error)).lower()}"),))
    if len(found) > MAX_FILES:
        return LoadResult((), (_problem(path, f"holds {len(found)} files", f"at most {MAX_FILES}"),))
    return _load(found, path, signals)


def load_files(paths: Iterable[Path], signals: Definitions | None = None) -> LoadResult:
    """Every policy in these files."""
    return _load(paths, None, signals)


def _load(paths: Iterable[Path], within: Path | None, signals: Definitions | None) -> LoadResult:
    problems: list[Problem] = []
    found: dict[str, list[tuple[Policy, Document]]] = {}
    for path in paths:
        try:
            documents = parse_all(read_file(path, within), str(path))
        except DocumentError as error:
            problems += error.problems
            continue
        for document in documents:
            try:
                policy = compile_policy(document, signals=signals or builtin())
            except DocumentError as error:
                problems += error.problems
            else:
                found.setdefault(policy.name, []).append((policy, document))
    for name, same in found.items():
        if len(same) > 1:
            problems += _twice(name, [document for _, document in same])
    policies = tuple(same[0][0] for _, same in sorted(found.items()) if len(same) == 1)
    if not problems and (operations := together(policies)) > MAX_OPERATIONS_OF_A_SET:
        message = f"the policies take {operations} operations a tick, more than {MAX_OPERATIONS_OF_A_SET}"
        first = next(iter(found.values()))[0][1]
        problems.append(_problem(within or Path(first.file), message, "use fewer policies, or simpler conditions"))
    return LoadResult(policies, tuple(problems), {policy.name: found[policy.name][0][1] for policy in policies})


def together(policies: Iterable[Policy]) -> int:
    """Operations over whole columns that the conditions of all take in one tick, what they share counted once."""
    conditions = {}
    for policy in policies:
        conditions[policy.hash, "when"], conditions[policy.hash, "until"] = policy.when, policy.until
    return Program(conditions).cost


def _twice(name: str, documents: list[Document]) -> list[Problem]:
    """A problem at each place but the first, naming the first."""
    path = ("metadata", "name")
    line, column = documents[0].place(path)
    where = f"{documents[0].file}:{line}:{column}"
    return [document.problem(path, f"{name} is already given in {where}", "rename one") for document in documents[1:]]


def _problem(path: Path, message: str, hint: str = "") -> Problem:
    return Problem(str(path), 1, 1, "", message, hint)
