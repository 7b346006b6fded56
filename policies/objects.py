"""Policies from objects of a cluster's API: the same document, the same reader, the same validator as for files."""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from policies.load import together
from policies.policy import Policy, compile_policy
from telemetry.documents import Document, DocumentError, Problem, parse
from telemetry.documents.problems import shown
from telemetry.expression import MAX_OPERATIONS_OF_A_SET
from telemetry.signals.definitions import Definitions
from telemetry.signals.load import builtin

Name = tuple[str, str, str]
"""Kind, namespace (empty for an object of the whole cluster) and name: which object."""


@dataclass(frozen=True, slots=True)
class ObjectsResult:
    """What the objects say.

    Attributes:
        policies: those that are right, by object.
        problems: what is wrong with each of the others; never empty for one.
    """

    policies: Mapping[Name, Policy]
    problems: Mapping[Name, tuple[Problem, ...]] = field(default_factory=dict)


def called(name: Name) -> str:
    """The name of the policy that an object is: `namespace/name`, or `name`."""
    _, namespace, own = name
    return f"{namespace}/{own}" if namespace else own


def name_of(made: Mapping[str, Any]) -> Name:
    """Which object it is."""
    metadata = made.get("metadata") or {}
    return str(made.get("kind", "")), str(metadata.get("namespace") or ""), str(metadata.get("name", ""))


def document_of(made: Mapping[str, Any]) -> Document:
    """The document that an object stands for, with the limits of a file; problems in it name their field.

    Only what an author writes is taken: what the API server adds to `metadata`, and `status`, are not the policy.

    Raises:
        DocumentError: it is larger or deeper than a file may be, or holds what no file may hold.
    """
    kind, namespace, name = name_of(made)
    label = _label((kind, namespace, name))
    named = {"namespace": namespace, "name": name} if namespace else {"name": name}
    wanted = {key: made[key] for key in ("apiVersion", "kind", "spec") if key in made} | {"metadata": named}
    try:
        read = parse(json.dumps(wanted), label)
    except DocumentError as error:
        raise DocumentError(replace(problem, line=0, column=0) for problem in error.problems) from None
    return Document(label, read.data)


def compile_object(made: Mapping[str, Any], signals: Definitions | None = None) -> Policy:
    """Check and compile one object.

    Raises:
        DocumentError: with everything that is wrong with it, by field.
    """
    return compile_policy(document_of(made), signals=signals or builtin())


def load_objects(
    objects: Iterable[Mapping[str, Any]],
    taken: Mapping[str, Policy] | None = None,
    compiled: Callable[[Mapping[str, Any]], Policy] = compile_object,
) -> ObjectsResult:
    """Every policy among these objects. One that is wrong does no harm to the others.

    Args:
        objects: of the two kinds, in the order of their precedence: if all of them together cost too much, the last
            ones are refused.
        taken: policies from files, by name: they come first, and keep their name.
        compiled: compiles one, or remembers it; raises `DocumentError`.
    """
    files = dict(taken or {})
    policies: dict[Name, Policy] = {}
    problems: dict[Name, tuple[Problem, ...]] = {}
    for made in objects:
        name = name_of(made)
        try:
            policies[name] = policy = compiled(made)
        except DocumentError as error:
            problems[name] = error.problems
        else:
            if policy.name in files:
                del policies[name]
                message = f"{policy.name} is already given by a policy file of the controller"
                problems[name] = (Problem(_label(name), 0, 0, "metadata.name", message, "rename one"),)
    for name in _too_costly(list(files.values()), policies):
        del policies[name]
        message = f"with it the policies take more than {MAX_OPERATIONS_OF_A_SET} operations a tick"
        hint = "use fewer policies, or simpler conditions"
        problems[name] = (Problem(_label(name), 0, 0, "spec.when", message, hint),)
    return ObjectsResult(policies, problems)


def _too_costly(files: list[Policy], policies: Mapping[Name, Policy]) -> list[Name]:
    """The last ones, of which each is more than a tick can bear beside those before it."""
    names, found = list(policies), list(policies.values())

    def cost(count: int) -> int:
        return together([*files, *found[:count]])

    if cost(len(found)) <= MAX_OPERATIONS_OF_A_SET:
        return []
    return names[bisect_right(range(len(found)), MAX_OPERATIONS_OF_A_SET, key=lambda index: cost(index + 1)) :]


def _label(name: Name) -> str:
    """How messages call an object: `RemediationPolicy shop/slow`."""
    return f"{name[0]} {shown(called(name))[1:-1]}"
