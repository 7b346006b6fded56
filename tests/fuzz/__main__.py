"""Fuzz one target: `python -m tests.fuzz TARGET [--minutes 10] [--keep FOLDER]`.

Starts from the committed corpus, prints what libFuzzer found, and ends with 1 if anything broke a rule. An input that
did is kept in FOLDER; put it into `tests/fuzz/corpus/TARGET` with its mending, so that it is tried for ever.
"""

import argparse
import importlib
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import NAMES

CORPUS = Path(__file__).with_name("corpus")
LONGEST = 4096
"""Bytes of an input before it is grown."""
_SLOWEST = 30  # seconds for one input, at which libFuzzer gives up
_MEMORY = 2048  # MiB
_PULSE = re.compile(r"^#(\d+)\s+\w+\s+(?:cov: (\d+) )?(?:ft: (\d+) )?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Run:
    """What a run did.

    Attributes:
        executions: inputs tried.
        coverage: branches of the rooms that were reached.
        features: those together with how often.
        findings: the first lines of what broke a rule.
        output: all that the process said.
    """

    executions: int
    coverage: int
    features: int
    findings: tuple[str, ...]
    output: str


def fuzz(name: str, seconds: int, keep: Path, seed: int = 0) -> Run:
    """Fuzz a target for so long; `seed` 0 takes a new one."""
    words = importlib.import_module(f"tests.fuzz.targets.{name}").WORDS
    with tempfile.TemporaryDirectory(prefix="gyrostat-fuzz-") as folder:
        dictionary, grown = Path(folder, "words"), Path(folder, "corpus")
        dictionary.write_text("".join(f'"{_escaped(word)}"\n' for word in words))
        grown.mkdir()
        keep.mkdir(parents=True, exist_ok=True)
        options = {
            "max_total_time": seconds, "max_len": LONGEST, "timeout": _SLOWEST, "rss_limit_mb": _MEMORY, "seed": seed,
            "dict": dictionary, "artifact_prefix": f"{keep}/",
        }  # fmt: skip
        flags = [f"-{option}={value}" for option, value in options.items()]
        command = [sys.executable, "-m", "tests.fuzz.drive", name, str(keep), *flags, str(grown), str(CORPUS / name)]
        done = subprocess.run(command, capture_output=True, check=False, timeout=seconds + 20 * _SLOWEST)
    output = done.stderr.decode(errors="replace") + done.stdout.decode(errors="replace")
    pulses = _PULSE.findall(output)
    most = [max((int(pulse[place] or 0) for pulse in pulses), default=0) for place in range(3)]
    findings = re.findall(r"^(?:FINDING .*|==\d+== ?ERROR.*|SUMMARY.*)$", output, re.MULTILINE)
    if done.returncode and not findings:
        findings = [f"the process ended with {done.returncode}: {output[-2000:]}"]
    return Run(*most, tuple(findings), output)


def _escaped(word: str) -> str:
    """A word as libFuzzer's dictionaries write it."""
    return "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\x{b:02X}" for b in word.encode())


def main() -> int:
    """Run it, and say what came of it."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz one target.")
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir(), "gyrostat-findings"))
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    run = fuzz(given.target, round(given.minutes * 60), given.keep / given.target, given.seed)
    if run.findings:
        print(run.output[-20_000:])
    print(f"{given.target}: {run.executions:,} inputs, {run.coverage:,} branches, {run.features:,} features, "
          f"{len(run.findings)} findings in {given.minutes:g} minutes")  # fmt: skip
    return 1 if run.findings else 0


if __name__ == "__main__":
    sys.exit(main())
