"""The policy loader: any bytes as a file of policies."""

from policies.load import load_files
from policies.model import RemediationPolicy
from policies.policy import compile_policy
from telemetry.documents import DocumentError, parse_all
from tests.fuzz.rules import bounded, grown, plain, require, scratch

_FOLDER = scratch()
_FILE = _FOLDER / "fuzz.yaml"


def _names(model: dict) -> list[str]:
    found = []
    for part in (model, *model.get("$defs", {}).values()):
        found += part.get("properties", {})
        found += [value for value in part.get("enum", ()) if isinstance(value, str)]
    return found


_OTHERS = ("gyrostat.dev/v1alpha1", "RemediationPolicy", "\n  - ", ": |\n    ", "\n---\n")
WORDS = sorted({*_names(RemediationPolicy.model_json_schema()), *_OTHERS})


def check(data: bytes) -> None:
    """Everything that is wrong is a problem at a place of the file, and what loads reads back as itself."""
    content = grown(data)
    with bounded():
        _FILE.write_bytes(content)
        loaded = load_files([_FILE])
    lines = content.decode(errors="replace").count("\n") + 1
    _explained(loaded.problems, lines)
    try:
        documents = parse_all(content, str(_FILE))
    except DocumentError as error:
        _explained(error.problems, lines)
        require(error.problems, "an error without a problem")
        require(not loaded.policies, "policies of a file that can not be read")
        return
    require(loaded.problems or len(loaded.policies) == len(documents), "a document is neither used nor wrong")
    for policy in loaded.policies:
        again = compile_policy(policy.content)
        require(again == policy, "a policy is another one after it was written down")
        require(again.content == policy.content, "a policy's text changes by being read")
        policy.open_at(1_700_000_000.0)


def _explained(problems, lines: int) -> None:
    for problem in problems:
        plain(str(problem))
        require(problem.file == str(_FILE), f"a problem of another file: {problem.file}")
        require(1 <= problem.line <= lines + 1, f"line {problem.line} of {lines}: {problem}")
        require(problem.column >= 1, f"column {problem.column}")
        require(problem.message, "a problem without a message")
