"""Small mistakes, one at a time: each mutant is a function of which one expression or statement is another."""

import ast
import copy
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

_COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Pow: ast.Mult,
    ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.LShift: ast.RShift, ast.RShift: ast.LShift,
}  # fmt: skip
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_MEMBERS = {
    "Verdict": ("PASS", "FAIL", "UNKNOWN"),
    "Step": ("DO", "UNDO", "RELEASE", "REDO"),
    "Result": ("RECOVERED", "HEALED", "UNDONE", "DROPPED", "NEEDS_HUMAN"),
    "Undo": ("REVERSIBLE", "TRANSIENT", "IRREVERSIBLE"),
    "Mode": ("OBSERVE", "RECOMMEND", "APPROVE", "ENFORCE"),
    "OnFailure": ("ROLLBACK", "ESCALATE", "NEXT"),
    "Verb": ("PAUSE", "RESUME", "FREEZE", "UNFREEZE", "ACT", "APPROVE", "UNDO", "ABORT", "ACK"),
}
Function = ast.FunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake.

    Attributes:
        module: file, from the root of the project.
        line: where it is.
        end: last line of what was changed.
        source: that line as it stands, without its indentation.
        change: what was changed into what.
        make: the module's code with the mistake in it; may raise where that is no program.
        again: how many of this module have the same line and change before it.
    """

    module: str
    line: int
    end: int
    source: str
    change: str
    make: Callable[[], CodeType]
    again: int = 0

    @property
    def name(self) -> str:
        """The same as long as the line is the same, wherever it moves."""
        which = f" ({self.again + 1})" if self.again else ""
        return f"{self.module} | {self.source} | {self.change}{which}"


def mutants(path: Path, root: Path) -> Iterator[Mutant]:
    """Every mutant of the functions of a module, in the order of the file."""
    text = path.read_text()
    lines = text.splitlines()
    tree = ast.parse(text)
    module = str(path.relative_to(root))
    seen = Counter[tuple[str, str]]()
    for node, name, place, new in _changes(tree):
        old = getattr(node, name) if place is None else getattr(node, name)[place]
        before, after = ast.unparse(old) if isinstance(old, ast.AST) else str(old), _shown(new)
        if before == after:
            continue
        at = old if hasattr(old, "lineno") else node
        change = f"{_short(before)} -> {_short(after)}"
        source = lines[at.lineno - 1].strip()
        make = _maker(tree, path, (node, name, place, new))
        yield Mutant(module, at.lineno, at.end_lineno or at.lineno, source, change, make, seen[source, change])
        seen[source, change] += 1


def _maker(tree: ast.Module, path: Path, change: "Change") -> Callable[[], CodeType]:
    """Compiles on demand: nearly all time would go into it, and a process of its own may do it."""
    return lambda: compile(_with(tree, *change), str(path), "exec", dont_inherit=True)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:40]}…{text[-15:]}"


def _shown(new: object) -> str:
    return "(nothing)" if isinstance(new, ast.Pass) else ast.unparse(new) if isinstance(new, ast.AST) else str(new)


Change = tuple[ast.AST, str, int | None, ast.AST]


def _changes(tree: ast.Module) -> Iterator[Change]:
    """Each place in a function, and what stands there instead."""
    for function in _outermost(tree):
        roots = [function.body] if isinstance(function, ast.Lambda) else _after_docstring(function)
        owner: list[tuple[ast.AST, str, int | None]] = []
        if isinstance(function, ast.Lambda):
            owner = [(function, "body", None)]
        else:
            owner = [(function, "body", place) for place, node in enumerate(function.body) if node in roots]
        for parent, field, place in owner:
            yield from _of(parent, field, place)


def _after_docstring(function: ast.FunctionDef) -> list[ast.stmt]:
    return function.body[1:] if ast.get_docstring(function) is not None else function.body


def _outermost(tree: ast.AST) -> Iterator[Function]:
    """Functions and lambdas that are in no other one."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
        else:
            yield from _outermost(child)


def _of(parent: ast.AST, field: str, place: int | None) -> Iterator[Change]:
    """Mutations of one node and of all in it."""
    node = getattr(parent, field) if place is None else getattr(parent, field)[place]
    for new in _instead(node):
        yield parent, field, place, new
    if isinstance(node, ast.JoinedStr | ast.Raise | ast.Assert):  # texts for people; and what is asserted holds
        return
    for name, value in ast.iter_fields(node):
        if name in (
            "annotation",
            "returns",
            "decorator_list",
            "type_params",
            "ctx",
            "args" if isinstance(node, Function) else "",
        ):
            continue
        if isinstance(value, ast.AST):
            yield from _of(node, name, None)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, ast.AST) and not _is_docstring(item):
                    yield from _of(node, name, index)


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _instead(node: ast.AST) -> Iterator[ast.AST]:  # noqa: PLR0912 - a table of cases
    """What can stand in the place of a node."""
    match node:
        case ast.Compare():
            for at, op in enumerate(node.ops):
                ops = [*node.ops[:at], _COMPARE[type(op)](), *node.ops[at + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)
        case ast.BoolOp():
            yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
            for at in range(len(node.values)):
                left = [*node.values[:at], *node.values[at + 1 :]]
                yield left[0] if len(left) == 1 else ast.BoolOp(node.op, left)
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield node.operand
        case ast.BinOp() if type(node.op) in _ARITHMETIC:
            yield ast.BinOp(node.left, _ARITHMETIC[type(node.op)](), node.right)
        case ast.AugAssign() if type(node.op) in _ARITHMETIC:
            yield ast.AugAssign(node.target, _ARITHMETIC[type(node.op)](), node.value)
            yield ast.Pass()
        case ast.Constant():
            yield from _constants(node)
        case ast.Attribute(value=ast.Name(id=owner), attr=member) if member in _MEMBERS.get(owner, ()):
            members = _MEMBERS[owner]
            yield ast.Attribute(node.value, members[(members.index(member) + 1) % len(members)], node.ctx)
        case ast.Name(id=name) if name in _NAMES and isinstance(node.ctx, ast.Load):
            yield ast.Name(_NAMES[name], node.ctx)
        case ast.Call():
            for at, keyword in enumerate(node.keywords):
                if keyword.arg is not None:
                    yield ast.Call(node.func, node.args, [*node.keywords[:at], *node.keywords[at + 1 :]])
        case ast.If() | ast.While() | ast.IfExp():
            yield from _conditions(node)
        case ast.comprehension() if node.ifs:
            yield ast.comprehension(node.target, node.iter, [], node.is_async)
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()) | ast.Delete() | ast.Raise():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Continue():
            yield ast.Break()
        case ast.Break():
            yield ast.Continue()


def _conditions(node: ast.If | ast.While | ast.IfExp) -> Iterator[ast.AST]:
    """The other way round, where that is not what a comparison or a `not` in it gives already."""
    if isinstance(node.test, ast.Compare | ast.BoolOp | ast.UnaryOp):
        return
    other = copy.copy(node)
    other.test = ast.UnaryOp(ast.Not(), node.test)
    yield other


def _constants(node: ast.Constant) -> Iterator[ast.AST]:
    match node.value:
        case bool():
            yield ast.Constant(not node.value)
        case int() | float():
            yield ast.Constant(node.value + 1)
        case str() if node.value and " " not in node.value:  # what has blanks is for people, or SQL
            yield ast.Constant(f"{node.value}X")
        case _:
            return


def _with(tree: ast.Module, node: ast.AST, field: str, place: int | None, new: ast.AST) -> ast.Module:
    """The tree with another node in one place, from now on."""
    old = getattr(node, field) if place is None else getattr(node, field)[place]
    placed = ast.copy_location(copy.copy(new), old if hasattr(old, "lineno") else node)
    if place is None:
        setattr(node, field, placed)
    else:
        getattr(node, field)[place] = placed
    return ast.fix_missing_locations(tree)
