"""The conditions of all policies as one program, so that what many of them read is computed once a tick."""

from collections.abc import Mapping, Sequence

from policies.policy import Policy
from policies.selection import Catalog
from telemetry.expression import Program, Truth
from telemetry.reading import columns_at
from telemetry.snapshot import Snapshot

_WIDE = 0.2
"""Share of the targets from which on it is cheaper to ask all of them than to pick out the selected ones."""


class Shared:
    """Remembers the program until the policies change."""

    def __init__(self) -> None:
        self._policies: tuple[str, ...] = ()
        self._program: Program[str] = Program({})

    def truths(self, policies: Sequence[Policy], snapshot: Snapshot, catalog: Catalog) -> Mapping[str, Truth]:
        """Truth of `when` on every row, by hash, for those policies that are about many targets."""
        least = _WIDE * len(snapshot.targets)
        wide = [policy for policy in policies if len(catalog.select(policy).rows) > least]
        names = tuple(policy.hash for policy in wide)
        if names != self._policies:
            self._policies, self._program = names, Program({policy.hash: policy.when for policy in wide})
        if not wide:
            return {}
        return self._program.run(columns_at(snapshot, self._program.columns))
