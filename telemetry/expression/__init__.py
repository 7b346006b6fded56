"""Conditions over columns: a typed subset of CEL, three-valued, evaluated on all targets at once."""

from telemetry.expression.condition import Condition, Truth, compile_condition
from telemetry.expression.problem import ExpressionError, Problem

__all__ = ["Condition", "ExpressionError", "Problem", "Truth", "compile_condition"]
