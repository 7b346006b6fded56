"""The key that signs checkpoints: made at the first start, for its owner only, printed by nothing."""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from audit.files import refused, write_new
from audit.journal import Checkpoint, JournalError, Pruned

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = "signing.key"
PUBLIC = "signing.pub"
"""Names in the state directory: private key (0600), public key."""
Statement = TypeVar("Statement", Checkpoint, Pruned)


class Signer:
    """The private key of a journal; nothing prints it."""

    def __init__(self, private: "Ed25519PrivateKey") -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return f"Signer({self.public.hex()})"

    @staticmethod
    def open(state_dir: Path) -> "Signer":
        """The key of this state directory; it is made at the first start.

        Raises:
            JournalError: the key is lost, foreign, damaged, or readable by others.
        """
        try:
            return _load(state_dir) if (state_dir / KEY).exists() else _make(state_dir)
        except OSError as error:
            raise refused(error, state_dir / KEY) from error

    def signature(self, message: bytes) -> bytes:
        """Ed25519, 64 bytes."""
        return self._private.sign(message)

    def _pem(self) -> bytes:
        from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - heavy, most runs sign nothing

        return self._private.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)

    def publish(self, path: Path) -> None:
        """Write the public key beside the private one, or see that it is there.

        Raises:
            JournalError: another key is there.
        """
        if not path.exists():
            write_new(path, self._pem(), 0o644)
        elif public_key(path) != self.public:
            raise JournalError(f"{path} does not belong to {KEY} beside it; put the right pair back")


def public_key(path: Path) -> bytes:
    """The 32 bytes of a public key file.

    Raises:
        JournalError: it is no Ed25519 public key.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - heavy, most runs sign nothing
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - heavy, most runs sign nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above

    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except OSError as error:
        raise refused(error, path) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise JournalError(f"{path} is no public key in PEM form") from error
    if not isinstance(key, Ed25519PublicKey):
        raise JournalError(f"{path} is not an Ed25519 key")
    return key.public_bytes_raw()


def signed_by_owner(statement: Statement, message: Callable[[Statement], bytes], key: bytes | None) -> bool:
    """Whether the signature holds under the key that the statement names and, if given, that is this `key`."""
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - heavy, and most runs need no signature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey  # noqa: PLC0415 - as above

    if key is not None and statement.key != key:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(statement.key).verify(statement.signature, message(statement))
    except (InvalidSignature, ValueError, TypeError, struct.error):  # or values that no such statement has
        return False
    return True


def _load(state_dir: Path) -> Signer:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - heavy, most runs sign nothing
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - heavy, most runs sign nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above

    path = state_dir / KEY
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise JournalError(f"{path} has mode {mode:04o}: others can read the signing key. chmod 600 it")
    try:
        private = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # their text may quote the file
        raise JournalError(f"{path} is no private key in PEM form without a password") from None
    if not isinstance(private, Ed25519PrivateKey):
        raise JournalError(f"{path} is not an Ed25519 key")
    signer = Signer(private)
    signer.publish(state_dir / PUBLIC)
    return signer


def _make(state_dir: Path) -> Signer:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415 - heavy, most runs sign nothing
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - as above

    if (state_dir / PUBLIC).exists():
        raise JournalError(
            f"{state_dir / KEY} is gone, but {PUBLIC} is there: checkpoints were signed with it. Put the key back, "
            f"or, to sign with a new key knowingly, move {PUBLIC} and the exported checkpoints away"
        )
    private = Ed25519PrivateKey.generate()
    text = private.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    write_new(state_dir / KEY, text, 0o600)
    signer = Signer(private)
    signer.publish(state_dir / PUBLIC)
    return signer
