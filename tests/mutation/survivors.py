"""Why a mutant may survive. One without a reason here is a gap, and the page says so."""

GAP = "**a gap**: no test of these rooms notices"

REASONS: tuple[tuple[str, str, str], ...] = (
    ("", "64 -> 65", "equivalent: the maximum is reached long before"),
    ("", "32 -> 33", "equivalent: the maximum is reached long before"),
    ("audit/export.py", "indent=-1) | 1 -> 2", "equivalent: any negative number means one line"),
    ("audit/files.py", "O_RDONLY & os.O_DIRECTORY", "equivalent: only folders are given"),
    ("guards/human.py", "at > 0 and age", "equivalent: never approved is 0, which is no hour ago since 1970"),
    ("ranking.py", "approved_at > 0 and age", "equivalent: never approved is 0, which is no hour ago since 1970"),
    ("confidence.py", "4 -> 5", "a digit more of what people are shown; no decision turns on it"),
    ("knobs.py", "max(0, knob.streak - 1) // 2, 32)) | 0 -> 1", "equivalent: halved and rounded down it is the same"),
    (
        "case.py",
        "keep = result is Result.NEEDS_HUMAN",
        "equivalent: no line gives an episode without an intent to a person",
    ),
    ("agents.py", "strict=True", "equivalent: an assertion that holds"),
    ("follow_up.py", "said.request is not None", "equivalent: only statements with a request are kept as requests"),
    ("agents.py", "said.request is not None and", "equivalent: only statements with a request are kept as requests"),
)
"""Part of the module's name, part of the mutant's name, and the reason."""


def reason(name: str) -> str:
    """Why this one stands."""
    module = name.partition(" | ")[0]
    return next((why for of, part, why in REASONS if of in module and part in name), GAP)
