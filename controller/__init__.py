"""Composition, loop, CLI and views: decides and remembers. `controller.core` is pure."""
