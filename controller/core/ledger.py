"""What the store must check in the same transaction as the records: claims, releases and budgets.

The guards are the first lock; this is the second, and it holds against another process too.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from controller.core.records import (
    AnyRecord,
    Closed,
    Failed,
    Intent,
    Key,
    Opened,
    Passed,
    Result,
    Said,
    Step,
    Verb,
    claims_of,
)
from controller.core.state import State
from policies.policy import Policy

ANY = 1_000_000
"""A limit that refuses nothing."""


@dataclass(frozen=True, slots=True)
class Spend:
    """One start counted against one budget: at most `limit` in any `window` seconds."""

    bucket: str
    at: float
    limit: int
    window: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """Side conditions of one append.

    Attributes:
        claims: (name, holder); a name held by another holder refuses the append.
        releases: (name, holder); an empty name releases everything of the holder.
        spends: budgets to charge.
    """

    claims: tuple[tuple[str, str], ...]
    releases: tuple[tuple[str, str], ...]
    spends: tuple[Spend, ...]


def holder(key: Key) -> str:
    """How the store names an episode's key."""
    return f"{key.policy}|{key.target}"


def ledger(records: Iterable[AnyRecord], state: State, policies: Mapping[str, Policy]) -> Ledger:
    """Claims, releases and spends of these records; `state` is as it was before them."""
    claims: list[tuple[str, str]] = []
    releases: list[tuple[str, str]] = []
    spends: list[Spend] = []
    hashes = {key: episode.policy_hash for key, episode in state.episodes.items()}
    tried = {key for key, episode in state.episodes.items() if episode.attempts}
    for record in records:
        match record:
            case Intent():
                name = holder(record.key)
                claims += [(claim, name) for claim in claims_of(record)]
                if record.step is Step.DO:
                    policy = policies.get(hashes.get(record.key, ""))
                    spends += _spends(record, policy, again=record.key in tried)
            case Passed():
                releases += [(name, holder(record.key)) for name in _objects(state, record.key)]
            case Failed() | Closed() if not _keeps(record):
                releases.append(("", holder(record.key)))
            case Said(verb=Verb.ACK) if (episode := state.by_id(record.about)) and episode.needs_human:
                releases.append(("", holder(episode.key)))
            case Opened():
                hashes[record.key] = record.policy_hash
                tried.discard(record.key)
            case _:
                pass
    return Ledger(tuple(claims), tuple(releases), tuple(spends))


def _keeps(record: Failed | Closed) -> bool:
    return isinstance(record, Closed) and record.result is Result.NEEDS_HUMAN


def _objects(state: State, key: Key) -> list[str]:
    return [name for name, owner in state.claims.items() if owner == key and "#" not in name]


def _spends(intent: Intent, policy: Policy | None, *, again: bool) -> list[Spend]:
    if policy is None:
        return []
    throttle = policy.throttle
    bucket = f"policy:{policy.name}"
    spends = [Spend(f"{bucket}/{limit.per:g}s", intent.at, limit.max, limit.per) for limit in throttle.limits]
    if throttle.cooldown > 0:
        most = ANY if again else 1  # a further attempt of one episode waits by backoff instead, but is counted
        spends.append(Spend(f"cooldown:{holder(intent.key)}", intent.at, most, throttle.cooldown))
    return spends
