"""State = fold(Trail): what the controller knows of its own doing, changed by `apply` alone.

So live, recovered and replayed state are the same thing. Its size is bounded by open episodes and the longest window.
"""

from collections.abc import Iterable

import msgspec

from actions.plan import Undo
from actions.reason import Reason
from controller.core.episode import Episode, Failures, Start, Track, age
from controller.core.knobs import Knob, moved, reverted
from controller.core.records import (
    OWN_STORM,
    AnyRecord,
    Closed,
    Crowded,
    Failed,
    Held,
    Intent,
    Key,
    Led,
    Loaded,
    Opened,
    Outcome,
    Passed,
    Result,
    Said,
    Step,
    Storm,
    Verb,
    claims_of,
    decoded,
)
from controller.core.skipped import skip
from policies.model import REMEMBERED
from telemetry.verdict import Verdict

__all__ = [
    "LAST_RESULTS",
    "LONGEST_WINDOW",
    "Episode",
    "Failures",
    "Start",
    "State",
    "Track",
    "age",
    "claims_of",
    "dump",
    "fold",
    "load",
]

LONGEST_WINDOW = REMEMBERED
"""Seconds that starts and failures are remembered; no budget may count over a longer window."""
LAST_RESULTS = 5
"""Of so many actions it is remembered whether they helped."""

MOST_MOVES = 3
"""Starts of the controller that move the deadline of one step: one that starts again and again must judge, too."""


class State(msgspec.Struct):
    """Everything that survives a restart. Mutable, and changed by `apply` only.

    Attributes:
        at: time of the newest record; `now` is never behind it.
        led_at, ahead: when the present leadership began, and how far trail time was ahead of the calendar then.
        paused, frozen: who wanted it and why; empty when not.
        intents, opened, said: how many there have been: they make ids.
        claims: which episode holds an object (`local:Service/…`) or one of its fields (`…#desired`).
        requests: what people asked for and is not finished.
        crowded: by policy, targets that wait without an episode.
        storms: by group, what makes that nothing new starts there.
        results: whether our last actions helped, oldest first.
        knobs: by object and field, which way it was last moved.
        acting: the episodes with a step under way or done; a part of `episodes`, so that nobody searches them all.
        policies: by hash, content in force or used by an open episode.
        in_force: hash by policy name.
    """

    at: float = 0.0
    epoch: int = 0
    led_at: float = 0.0
    paused: str = ""
    frozen: str = ""
    intents: int = 0
    opened: int = 0
    said: int = 0
    episodes: dict[Key, Episode] = {}
    claims: dict[str, Key] = {}
    starts: list[Start] = []
    failures: dict[Key, Failures] = {}
    track: dict[tuple[str, str], Track] = {}
    requests: dict[Key, Said] = {}
    crowded: dict[str, int] = {}
    storms: dict[str, Storm] = {}
    results: list[bool] = []
    knobs: dict[str, Knob] = {}
    policies: dict[str, Loaded] = {}
    in_force: dict[str, str] = {}
    acting: dict[Key, Episode] = {}
    ahead: float = 0.0

    def fork(self) -> "State":
        """A draft: shares the frozen values, not the containers."""
        copies = {
            name: value.copy() for name in self.__struct_fields__ if hasattr(value := getattr(self, name), "copy")
        }
        return msgspec.structs.replace(self, **copies)

    def apply(self, record: AnyRecord) -> None:
        """Take one record in. The only way in which state changes."""
        self.at = max(self.at, record.at)
        match record:
            case Said():
                self._said(record)
            case Loaded():
                self._loaded(record)
            case Led():
                self._led(record)
            case Crowded():
                self.crowded[record.policy] = record.count
                if not record.count:
                    del self.crowded[record.policy]
            case Storm():
                self._storm(record)
            case Opened():
                self.opened += 1
                self._put(Episode(record.key, record.episode, record.at, record.policy_hash, record.evidence))
            case _:
                self._step(record)

    def _led(self, led: Led) -> None:
        """Nobody watched for a while: what waits to be judged gets its time anew, but not for ever."""
        self.epoch, self.led_at, self.ahead = led.epoch, led.at, led.ahead
        skip(self, led.jumped)
        for episode in self.under_way():
            if episode.moves < MOST_MOVES:
                self._change(episode, moved_at=led.at, moves=episode.moves + 1)

    def _step(self, record: Held | Intent | Outcome | Passed | Failed | Closed) -> None:
        episode = self.episodes.get(record.key)
        if episode is None:  # about an episode that is over, e.g. an outcome that came after a person's ack
            return
        match record:
            case Held():
                self._change(episode, held=record.reason, held_detail=record.detail)
            case Intent():
                self._intend(episode, record)
            case Closed():
                self._close(episode, record)
            case _ if episode.intent is None or record.number != episode.intent.number:
                return  # about an earlier step: a store that broke off can make us say it twice
            case Outcome():
                if episode.outcome is None:
                    self._change(episode, outcome=record, outcome_at=record.at)
                    self._answered(episode.intent, record)
            case Passed():
                self._change(episode, judged=record.number)
                self._unclaim(record.key, fields=False)
            case Failed():
                if record.counts:
                    self._failed(record.key, record.at, self._action(episode))
                self._unclaim(record.key)
                self._change(episode, intent=None, outcome=None, rung=record.rung, detail=record.detail)

    def _put(self, episode: Episode) -> None:
        self.episodes[episode.key] = episode
        if episode.intent is not None:
            self.acting[episode.key] = episode
        else:
            self.acting.pop(episode.key, None)

    def _change(self, episode: Episode, **changes: object) -> None:
        self._put(msgspec.structs.replace(episode, **changes))

    def _storm(self, storm: Storm) -> None:
        if storm.over:
            self._calm(storm.group)
        else:
            self.storms[storm.group] = storm

    def _calm(self, group: str) -> None:
        """A storm is over; what our actions did before one of our own counts no more."""
        self.storms.pop(group, None)
        if group == OWN_STORM:
            self.results = []

    def _answered(self, intent: Intent, outcome: Outcome) -> None:
        """Remember which way knobs were moved, and that somebody else took one back."""
        for change in intent.changes if intent.plan.undo is Undo.REVERSIBLE else ():
            name = f"{change.object}#{change.path}"
            if outcome.result is not Verdict.FAIL:
                self.knobs[name] = moved(self.knobs.get(name), change, intent.at)
            elif outcome.taken:
                self.knobs[name] = reverted(self.knobs.get(name), outcome.at)

    def _intend(self, episode: Episode, intent: Intent) -> None:
        self.intents = intent.number
        is_do = intent.step is Step.DO
        if is_do:
            oldest = intent.at - LONGEST_WINDOW
            self.starts = [start for start in self.starts if start.at > oldest]
            self.knobs = {name: knob for name, knob in self.knobs.items() if knob.at > oldest}
            self.starts.append(Start(intent.at, episode.key, intent.plan.disrupts))
        for claim in claims_of(intent):
            self.claims[claim] = episode.key
        self._change(
            episode,
            intent=intent,
            outcome=None,
            epoch=self.epoch,
            rung=intent.rung,
            last_rung=intent.rung if is_do else episode.last_rung,
            attempts=episode.attempts + is_do,
            redos=0 if is_do else episode.redos + (intent.step is Step.REDO),
            moved_at=0.0,
            moves=0,
            held=None,
            held_detail="",
            approved_at=0.0 if is_do else episode.approved_at,  # a yes is for one start
            wish=episode.wish if intent.step is Step.UNDO else None,
        )

    def _close(self, episode: Episode, record: Closed) -> None:
        key = episode.key
        if record.helped is False:
            self._failed(key, record.at, self._action(episode))
        elif record.helped:
            self.failures.pop(key, None)
            self._tracked(key.policy, self._action(episode), helped=True)
        if record.result is Result.NEEDS_HUMAN:
            self._change(episode, needs_human=True, detail=record.detail)
            return
        self._drop(key)

    def _drop(self, key: Key) -> None:
        self._unclaim(key)
        self.requests.pop(key, None)
        gone = self.episodes.pop(key)
        self.acting.pop(key, None)
        self._forget_policy(gone.policy_hash)

    def _action(self, episode: Episode) -> str:
        return episode.intent.action if episode.intent else ""

    def _failed(self, key: Key, at: float, action: str) -> None:
        before = self.failures.get(key, Failures(0, at))
        self.failures = {k: f for k, f in self.failures.items() if f.at > at - LONGEST_WINDOW}
        self.failures[key] = Failures(before.count + 1, at)
        self._tracked(key.policy, action, helped=False)

    def _tracked(self, policy: str, action: str, *, helped: bool) -> None:
        before = self.track.get((policy, action), Track())
        self.track[policy, action] = Track(before.helped + helped, before.failed + (not helped))
        self.results = [*self.results, helped][-LAST_RESULTS:]

    def _unclaim(self, key: Key, *, fields: bool = True) -> None:
        gone = [name for name, holder in self.claims.items() if holder == key and (fields or "#" not in name)]
        for name in gone:
            del self.claims[name]

    def _said(self, said: Said) -> None:
        self.said += 1
        match said.verb:
            case Verb.PAUSE:
                self.paused = f"{said.who}: {said.why}"
            case Verb.RESUME:
                self.paused = ""
            case Verb.FREEZE:
                self.frozen = f"{said.who}: {said.why}"
            case Verb.UNFREEZE:
                self.frozen = ""
            case Verb.ACT if said.request:
                self.requests[Key(said.request.policy, said.request.target)] = said
            case _:
                self._said_of_episode(said)

    def _said_of_episode(self, said: Said) -> None:
        if said.verb is Verb.ACK and said.about == OWN_STORM:
            self._calm(OWN_STORM)
        episode = self.by_id(said.about)
        if episode is None:
            return
        if said.verb is Verb.APPROVE:
            self._change(episode, approved_at=said.at)
        elif said.verb in (Verb.UNDO, Verb.ABORT) and not episode.needs_human:
            self._change(episode, wish=said.verb)
        elif said.verb is Verb.ACK and episode.needs_human:
            self.failures.pop(episode.key, None)
            self._drop(episode.key)
        elif said.verb is Verb.ACK and episode.held is Reason.ATTEMPTS_EXHAUSTED:
            self.failures.pop(episode.key, None)

    def _loaded(self, loaded: Loaded) -> None:
        if loaded.once:
            self.policies[loaded.hash] = loaded
            return
        old = self.in_force.pop(loaded.policy, "")
        if loaded.hash:
            self.policies[loaded.hash] = loaded
            self.in_force[loaded.policy] = loaded.hash
        self._forget_policy(old)

    def _forget_policy(self, hash_: str) -> None:
        in_use = hash_ in self.in_force.values() or any(e.policy_hash == hash_ for e in self.episodes.values())
        if not in_use:
            self.policies.pop(hash_, None)

    def by_id(self, episode_id: str) -> Episode | None:
        """The open episode that people call `episode_id`."""
        return next((e for e in self.episodes.values() if e.id == episode_id), None)

    def under_way(self) -> list[Episode]:
        """Episodes that take a place of the concurrency budget."""
        return [e for e in self.acting.values() if e.under_way]

    def unsettled(self) -> list[Episode]:
        """Episodes whose intent was made by an earlier leadership and has no outcome yet."""
        return [e for e in self.acting.values() if e.outcome is None and e.epoch < self.epoch]


def fold(records: Iterable[AnyRecord], state: State | None = None) -> State:
    """State after these records."""
    state = State() if state is None else state
    for record in records:
        state.apply(record)
    return state


class _Image(msgspec.Struct):
    """State as a checkpoint keeps it: JSON has no struct keys, so maps become lists of pairs."""

    scalars: tuple[float, int, float, str, str, int, int, int]
    episodes: list[Episode]
    claims: list[tuple[str, Key]]
    starts: list[Start]
    failures: list[tuple[Key, Failures]]
    track: list[tuple[tuple[str, str], Track]]
    requests: list[Said]
    crowded: dict[str, int]
    policies: list[Loaded]
    in_force: dict[str, str]
    storms: list[Storm] = []
    results: list[bool] = []
    knobs: dict[str, Knob] = {}
    ahead: float = 0.0


def dump(state: State) -> bytes:
    """The state as bytes for a checkpoint."""
    s = state
    scalars = (s.at, s.epoch, s.led_at, s.paused, s.frozen, s.intents, s.opened, s.said)
    return msgspec.json.encode(
        _Image(
            scalars=scalars,
            episodes=list(s.episodes.values()),
            claims=list(s.claims.items()),
            starts=s.starts,
            failures=list(s.failures.items()),
            track=list(s.track.items()),
            requests=list(s.requests.values()),
            crowded=s.crowded,
            policies=list(s.policies.values()),
            in_force=s.in_force,
            storms=list(s.storms.values()),
            results=s.results,
            knobs=s.knobs,
            ahead=s.ahead,
        )
    )


def load(image: bytes) -> State:
    """The state of these bytes: `load(dump(state)) == state`.

    Raises:
        msgspec.DecodeError: they are no checkpoint of this version.
    """
    i = decoded(msgspec.json.Decoder(_Image), image)
    return State(
        *i.scalars,
        episodes={e.key: e for e in i.episodes},
        claims=dict(i.claims),
        starts=i.starts,
        failures=dict(i.failures),
        track=dict(i.track),
        requests={Key(said.request.policy, said.request.target): said for said in i.requests if said.request},
        crowded=i.crowded,
        policies={loaded.hash: loaded for loaded in i.policies},
        storms={storm.group: storm for storm in i.storms},
        results=i.results,
        knobs=i.knobs,
        ahead=i.ahead,
        in_force=i.in_force,
        acting={e.key: e for e in i.episodes if e.intent is not None},
    )
