"""What outlives the supervisor: which services there are, their uids, and how many instances are desired."""

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec


class Remembered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One service.

    Attributes:
        uid: which one it is.
        desired: instances asked for now.
        written: instances asked for by the services file when it was last read.
        fingerprint: of its whole definition, to see that it was edited.
        changed_at: epoch seconds of the last edit; 0 when never edited.
        port: of the shared socket, so that a free one that was picked is kept; 0 for none.
    """

    uid: str
    desired: int
    written: int
    fingerprint: str
    changed_at: float
    port: int = 0


class _Content(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    services: dict[str, Remembered]
    version: int = 1


class DamagedError(ValueError):
    """The file is there and cannot be understood."""


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file that is always whole: either the old content or the new."""

    path: Path

    def load(self) -> dict[str, Remembered]:
        """What was remembered; nothing where there is no file yet.

        Raises:
            DamagedError: the content is not ours.
        """
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=_Content).services
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            hint = "move it away to start afresh: every service then counts as a new one"
            raise DamagedError(f"{self.path} is damaged: {error} ({hint})") from error

    def save(self, services: dict[str, Remembered]) -> None:
        """Replace the content, durably.

        Raises:
            OSError: the old content stands.
        """
        fresh = self.path.with_suffix(".tmp")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(msgspec.json.encode(_Content(services)))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
        folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
