"""Time that a clock jumped over did not pass: what was to be waited for is waited for in full."""

from typing import TYPE_CHECKING

from msgspec.structs import replace

if TYPE_CHECKING:
    from controller.core.state import State


def skip(state: "State", seconds: float) -> None:
    """Move what waits are counted from: starts, failures, knobs, storms and holds. An approval lasts no longer."""
    state.starts = [replace(start, at=start.at + seconds) for start in state.starts]
    state.failures = {key: replace(found, at=found.at + seconds) for key, found in state.failures.items()}
    state.knobs = {
        name: replace(knob, at=knob.at + seconds, turns=tuple(at + seconds for at in knob.turns))
        for name, knob in state.knobs.items()
    }
    state.storms = {
        group: replace(storm, until=storm.until + seconds) if storm.until else storm
        for group, storm in state.storms.items()
    }
    for key, episode in list(state.acting.items()):
        later = replace(episode, outcome_at=episode.outcome_at + seconds) if episode.outcome_at else episode
        state.episodes[key] = state.acting[key] = later
