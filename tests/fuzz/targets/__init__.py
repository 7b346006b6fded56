"""What is fuzzed: each module has `check(data)`, which raises if one breaks a rule, and `WORDS` of its language."""

NAMES = ("policies", "expressions", "otlp", "settings", "control", "journal")
"""A module here, and a folder of the corpus, each."""
