"""The signed statement that records were pruned: only who holds the key can say so."""

import struct

import msgspec

from audit.chain import fields
from audit.journal import Pruned
from audit.keys import Signer, holds


def sign(signer: Signer, unsigned: Pruned) -> Pruned:
    """The statement, signed."""
    named = msgspec.structs.replace(unsigned, key=signer.public)
    return msgspec.structs.replace(named, signature=signer.signature(_message(named)))


def authentic(pruned: Pruned, key: bytes | None = None) -> bool:
    """Whether the signature holds under the key the statement names and, if given, that is this `key`."""
    if key is not None and pruned.key != key:
        return False
    try:
        return holds(pruned.key, pruned.signature, _message(pruned))
    except (TypeError, struct.error, UnicodeEncodeError):  # values that no statement has
        return False


def _message(pruned: Pruned) -> bytes:
    return fields(
        b"audit-pruned-1",
        pruned.chain.encode(),
        pruned.algorithm.encode(),
        struct.pack(">Q", pruned.seq),
        pruned.hash,
        struct.pack(">Q", pruned.epoch),
        struct.pack(">d", pruned.at),
        pruned.who.encode(),
        pruned.why.encode(),
    )
