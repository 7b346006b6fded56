"""What is true now. This room measures; it never decides and never acts.

The path is bytes -> samples -> processor -> `Snapshot`. Everything outside `sources/` is pure: `now` is an argument.
"""
