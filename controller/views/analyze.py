"""What the next tick would decide, with none of it done or written down."""

from collections.abc import Sequence
from typing import Any

import msgspec

from controller.core.agents import standing_wishes, together
from controller.core.records import AnyRecord, Held, Intent, Opened
from controller.core.state import State
from controller.core.tick import tick
from controller.core.wish import Proposal, Proposals, Rulebook
from controller.views.words import sentence
from telemetry.snapshot import Snapshot


def analyze(snapshot: Snapshot, state: State, rules: Rulebook, proposals: Sequence[Proposal]) -> dict[str, Any]:
    """One decision per record that a tick at this instant would append, were nothing held before."""
    draft = state.fork()
    for key, episode in state.episodes.items():
        if episode.intent is None:
            draft.episodes[key] = msgspec.structs.replace(episode, held=None)
    told = standing_wishes(snapshot, state, rules.policies, proposals)
    proposals = together(told, proposals) if isinstance(proposals, Proposals) else [*told, *proposals]
    records = tick(snapshot.at, snapshot, draft, proposals, rules)
    confidence = {p.key: p.evidence.confidence for p in proposals}
    return {
        "decisions": [_decision(number, record, confidence) for number, record in enumerate(records, 1)],
        "wishes": len(proposals),
    }


def _decision(number: int, record: AnyRecord, confidence: dict[Any, float]) -> dict[str, Any]:
    key = getattr(record, "key", None)
    sure = confidence.get(key) if key is not None else None
    return {
        "id": f"d{number}",
        "type": type(record).__name__,
        "policy": key.policy if key else getattr(record, "policy", ""),
        "target": key.target.ref if key else "",
        "action": record.action if isinstance(record, Intent) else "",
        "confidence": round(sure, 4) if sure is not None else None,
        "result": _result(record),
        "text": sentence(record),
        "record": msgspec.to_builtins(record),
    }


def _result(record: AnyRecord) -> str:
    match record:
        case Held():
            return f"held: {record.reason}"
        case Intent():
            return "would act"
        case Opened():
            return "would open"
        case _:
            return "would record"
