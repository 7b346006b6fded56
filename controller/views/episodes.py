"""Episodes: those that are open, from State; those that ended, from the trail."""

from collections.abc import Iterable
from typing import Any

import msgspec

from controller.core.records import AnyRecord, Closed, Held, Intent, Key, Opened, Passed, Result, Said, Verb
from controller.core.state import Episode, State
from controller.views.words import changes_in_words, instant, phase

_SUCCESS = {Result.HEALED: True, Result.RECOVERED: True, Result.UNDONE: False, Result.NEEDS_HUMAN: False}


def open_episodes(now: float, state: State) -> list[dict[str, Any]]:
    """One row per open episode, oldest first."""
    return [_row(now, episode) for episode in sorted(state.episodes.values(), key=lambda e: e.opened_at)]


def _row(now: float, episode: Episode) -> dict[str, Any]:
    intent = episode.intent
    return {
        "episode": episode.id,
        "policy": episode.key.policy,
        "target": episode.key.target.ref,
        "state": phase(episode),
        "opened": instant(episode.opened_at),
        "age_seconds": round(max(0.0, now - episode.opened_at), 3),
        "attempts": episode.attempts,
        "action": intent.action if intent else "",
        "changes": changes_in_words(intent.changes) if intent else "",
        "until": _until(episode),
        "confidence": round(episode.evidence.confidence, 4),
        "values": dict(episode.evidence.values),
        "held": episode.held.value if episode.held else "",
        "detail": episode.detail or episode.held_detail,
        "needs_human": episode.needs_human,
        "next": what_a_person_can_do(episode),
    }


def _until(episode: Episode) -> str | None:
    """When it goes on by itself: the deadline of verification, or the end of a hold."""
    intent = episode.intent
    if intent is None or episode.needs_human:
        return None
    if episode.judged != intent.number:
        return instant(intent.due)
    return instant(episode.outcome_at + intent.hold) if intent.stage < len(intent.plan.release) else None


def what_a_person_can_do(episode: Episode) -> str:
    """The command that moves it on, where there is one."""
    if episode.needs_human:
        return f"auto ack {episode.id} --why …"
    if episode.held is not None and episode.held.value in ("NeedsApproval", "Irreversible"):
        return f"auto approve {episode.id} --why …"
    return ""


class _Story(msgspec.Struct):
    """An episode as the trail tells it."""

    episode: str
    opened: float
    confidence: float
    action: str = ""
    attempts: int = 0
    held: str = ""


def history(records: Iterable[AnyRecord]) -> list[dict[str, Any]]:
    """One row per episode that ended, oldest first.

    `success` is true where the target is well again, false where it was put back or left to a person, and null where
    nothing can be said.
    """
    stories: dict[Key, _Story] = {}
    rows: list[dict[str, Any]] = []
    for record in records:
        match record:
            case Opened():
                stories[record.key] = _Story(record.episode, record.at, record.evidence.confidence)
            case Held() if record.key in stories:
                stories[record.key].held = record.reason.value
            case Intent() if record.key in stories:
                story = stories[record.key]
                story.action, story.attempts = record.action, story.attempts + (record.step == "Do")
            case Passed() if record.key in stories:
                stories[record.key].held = ""
            case Closed() if record.key in stories:
                rows.append(_ended(record, stories[record.key]))
                if record.result is not Result.NEEDS_HUMAN:
                    del stories[record.key]
            case Said() if record.verb is Verb.ACK:
                stories = {key: story for key, story in stories.items() if story.episode != record.about}
            case _:
                pass
    return rows


def _ended(closed: Closed, story: _Story) -> dict[str, Any]:
    success = closed.helped if closed.helped is not None else _SUCCESS.get(closed.result)
    return {
        "episode": story.episode,
        "policy": closed.key.policy,
        "target": closed.key.target.ref,
        "result": closed.result.value,
        "success": success,
        "action": story.action,
        "attempts": story.attempts,
        "held": story.held if not story.attempts else "",
        "opened": instant(story.opened),
        "closed": instant(closed.at),
        "seconds": round(max(0.0, closed.at - story.opened), 3),
        "confidence": round(story.confidence, 4),
        "detail": closed.detail,
    }
