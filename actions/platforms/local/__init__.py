"""Processes of this machine, kept by a supervisor that is a process of its own."""
