"""The supervisor's wall clock: it is a process of its own, which no tick of the controller drives."""

from time import time  # noqa: TID251  this process has no `now` to be given

wall = time
"""Epoch seconds."""
