"""The signed statement that records were pruned: only who holds the key can say so."""

import struct

import msgspec

from audit.chain import fields
from audit.journal import Pruned
from audit.keys import Signer, signed_by_owner


def sign(signer: Signer, unsigned: Pruned) -> Pruned:
    """The statement, signed."""
    named = msgspec.structs.replace(unsigned, key=signer.public)
    return msgspec.structs.replace(named, signature=signer.signature(_message(named)))


def authentic(pruned: Pruned, key: bytes | None = None) -> bool:
    """Whether the signature holds under the key the statement names and, if given, that is this `key`."""
    return signed_by_owner(pruned, _message, key)


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
