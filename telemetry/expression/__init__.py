"""Conditions over columns: a typed subset of CEL, three-valued, evaluated on all targets at once."""

from telemetry.expression.check import Derived, Length
from telemetry.expression.condition import Condition, Truth, compile_condition
from telemetry.expression.parse import one_line
from telemetry.expression.problem import ExpressionError, Problem
from telemetry.expression.program import MAX_OPERATIONS_OF_A_SET, Program
from telemetry.expression.value import Value, compile_value

__all__ = [
    "MAX_OPERATIONS_OF_A_SET",
    "Condition",
    "Derived",
    "ExpressionError",
    "Length",
    "Problem",
    "Program",
    "Truth",
    "Value",
    "compile_condition",
    "compile_value",
    "one_line",
]
