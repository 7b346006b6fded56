"""Signals: names for expressions over columns, such as a health score, written in YAML that a user may override.

A signal is no measurement: where a condition names one, its expression stands there, and is computed once for all.
`load` reads the files; `definitions` is what the decision knows of them.
"""
