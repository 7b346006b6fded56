"""What to say when a function does not take the types it was given."""

from telemetry.expression.overloads import ASKS, VARIADIC, Type


def type_problem(function: str, types: tuple[Type, ...], *, compares: bool) -> tuple[str, str]:
    """Message and hint.

    Args:
        function: its name as in CEL, e.g. `_<_`.
        types: what it was given.
        compares: one of its arguments is itself an ordering, as in `a < b < c`.
    """
    if function in ASKS:
        return f"{function}() asks about one column, not about a value", f"write e.g. {function}(cpu.ratio)"
    if function in VARIADIC:
        return _least_or_most(function, types)
    if function == "_?_:_":
        return _choice(types)
    return _operator(function, types, compares=compares)


def _least_or_most(function: str, types: tuple[Type, ...]) -> tuple[str, str]:
    if len(types) < 2:
        return f"{function}() takes two or more values", f"write e.g. {function}(cpu.ratio, memory.ratio)"
    return f"{function}() does not take {' and '.join(types)}", _pair_hint(types)


def _choice(types: tuple[Type, ...]) -> tuple[str, str]:
    if types[0] is not Type.BOOL:
        return f"`?:` asks a bool, and this is {types[0]}", "write condition ? a : b"
    return f"`?:` can not choose between {' and '.join(types[1:])}", _pair_hint(types[1:])


def _operator(function: str, types: tuple[Type, ...], *, compares: bool) -> tuple[str, str]:
    symbol = function.strip("_")
    if function in ("_==_", "_!=_") and types == (Type.DURATION, Type.DURATION):
        return f"`{symbol}` of durations is chance", "measured times are never equal; write <, <=, > or >="
    if function == "_/_" and types == (Type.INTEGER, Type.INTEGER):
        return "`/` of two whole numbers does not exist: CEL would drop the remainder", "write a decimal, e.g. 7.0 / 2"
    chain = "write a < b && b < c for a chain of comparisons" if compares and Type.BOOL in types else ""
    return f"`{symbol}` does not take {' and '.join(types)}", chain or _pair_hint(types)


def _pair_hint(types: tuple[Type, ...]) -> str:
    kinds = set(types)
    if Type.STRING in kinds:
        time = Type.DURATION in kinds
        return "write the time as duration('10m')" if time else "text is compared with text only"
    if Type.DURATION in kinds and kinds & {Type.NUMBER, Type.INTEGER}:
        return "a time needs its unit: write e.g. duration('10s') or duration('10m')"
    return "a bool stands alone (probe.ok), or negated (!probe.ok)" if Type.BOOL in kinds else ""
