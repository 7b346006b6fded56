"""The commands, one module per section of the help."""

from controller.cli.commands import look, prove, start, stop, wish

__all__ = ["look", "prove", "start", "stop", "wish"]
