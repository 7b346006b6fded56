"""When and how the state is kept and signed, so that a restart need not read the whole trail and a cut tail shows."""

from pathlib import Path

from audit.checkpoint import Signer, due, genuine, require_exported, save
from audit.journal import Saved, Store
from controller.core.state import dump
from controller.trail import Trail


class Checkpoints:
    """Signs with the key of the state directory."""

    def __init__(self, state_dir: Path, every_records: int, every_seconds: float) -> None:
        """Open the key; it is made at the first start.

        Raises:
            JournalError: the key is lost, foreign, damaged, or readable by others.
        """
        self._state_dir, self._records, self._seconds = state_dir, every_records, every_seconds
        self._signer = Signer.open(state_dir)
        self._seq, self._at = 0, 0.0

    def require_exported(self, store: Store) -> None:
        """Refuse a store that is behind, or other than, what its exported checkpoints say.

        Raises:
            Rewound: with what to do about it.
        """
        require_exported(store, self._state_dir, self._signer.public)

    def trusted(self, saved: Saved) -> bool:
        """Whether a kept state was signed here; else the trail is folded from its beginning."""
        return genuine(saved.signed, self._signer.public)

    def begin(self, trail: Trail) -> None:
        """Count from here."""
        self._seq, self._at = trail.checkpointed, trail.state.at

    def write_if_due(self, now: float, trail: Trail, *, stopping: bool = False) -> bool:
        """Sign, keep and export one if there is enough news; says whether it did.

        Raises:
            JournalError: it could not be kept or exported; the trail itself is unharmed.
        """
        news, age = trail.seq - self._seq, now - self._at
        if not due(news, age, stopping=stopping, every_records=self._records, every_seconds=self._seconds):
            return False
        save(trail.store, self._signer, self._state_dir, dump(trail.state), (trail.seq, now))
        self._seq, self._at = trail.seq, now
        return True
