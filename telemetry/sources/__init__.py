"""Where facts and samples come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from telemetry.inventory import Facts, Sample
from telemetry.target import Target

if TYPE_CHECKING:
    from telemetry.columns import Floats  # numpy: the supervisor, which imports this, does without


@dataclass(frozen=True, slots=True)
class Block:
    """What is measured of many targets at once; a source that lists thousands of them makes no object for each value.

    Attributes:
        targets: which; the same object for as long as they are the same.
        columns: by name, a value for each target; NaN: nobody can tell now, whatever was said before.
        at: epoch seconds at which it was true.
    """

    targets: tuple[Target, ...]
    columns: Mapping[str, "Floats"]
    at: float


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source saw at one moment.

    Attributes:
        at: epoch seconds of the read; a sample from later than that (by more than 5 s) is refused.
        platform: whose targets `facts` lists; empty for a source that lists none.
        facts: all targets of the platform; after an error those of the last answer.
        samples: measured values.
        blocks: measured values of many targets, as vectors.
        error: why the source could not answer; empty when it did.
    """

    at: float
    platform: str = ""
    facts: Mapping[Target, Facts] = field(default_factory=dict)
    samples: Sequence[Sample] = ()
    error: str = ""
    blocks: Sequence[Block] = ()


class Source(Protocol):
    """Reads one system.

    Attributes:
        name: shown by status and metrics.
    """

    name: str

    def read(self, now: float) -> Reading:
        """Read once; never raises: a failure is a Reading with an error, which keeps the last facts.

        Args:
            now: epoch seconds.
        """
        ...
