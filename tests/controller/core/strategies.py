"""Random records: any order, any mix, about few episodes, so that they meet."""

from hypothesis import strategies as st

from actions.plan import Change, Plan, Undo
from actions.reason import Reason
from controller.core.records import (
    OWN_STORM,
    AnyRecord,
    Closed,
    Crowded,
    Evidence,
    Failed,
    Held,
    Intent,
    Key,
    Led,
    Loaded,
    Opened,
    Outcome,
    Passed,
    Request,
    Result,
    Said,
    Step,
    Storm,
    Verb,
)
from telemetry.target import Target
from telemetry.verdict import Verdict

TARGETS = tuple(Target("memory", "Service", "shop", name, "u1") for name in ("a", "b"))
KEYS = tuple(Key(policy, target) for policy in ("p", "q") for target in TARGETS)

times = st.integers(0, 10**6).map(lambda n: n / 4)
keys = st.sampled_from(KEYS)
numbers = st.integers(1, 6)
hashes = st.sampled_from(["h1", "h2", "h3"])
texts = st.text(max_size=5)
shares = st.floats(0, 1)
evidences = st.builds(
    Evidence, shares, shares, shares, shares, shares, st.lists(st.tuples(texts, shares), max_size=2).map(tuple)
)
values = st.none() | st.integers(-3, 3) | texts
changes = st.builds(
    Change, st.sampled_from(TARGETS), st.sampled_from(["desired", "slots/0/incarnation"]), values, values
)
some_changes = st.lists(changes, max_size=2).map(tuple)
plans = st.builds(
    Plan,
    some_changes,
    some_changes,
    st.integers(0, 3),
    st.sampled_from(Undo),
    st.sampled_from([0.0, 60.0]),
    some_changes,
)
requests = st.builds(Request, st.sampled_from(TARGETS), st.sampled_from(["p", "q"]), hashes, times)

records: st.SearchStrategy[AnyRecord] = st.one_of(
    st.builds(Opened, times, keys, st.integers(1, 4).map("e{}".format), hashes, evidences),
    st.builds(Held, times, keys, st.sampled_from(Reason), texts),
    st.builds(
        Intent,
        at=times,
        key=keys,
        number=numbers,
        step=st.sampled_from(Step),
        rung=st.integers(0, 2),
        action=st.sampled_from(["Scale", "Restart"]),
        changes=some_changes,
        plan=plans,
        judge_at=times,
        due=times,
        stage=st.integers(0, 2),
        hold=st.sampled_from([0.0, 30.0]),
    ),
    st.builds(
        Outcome,
        times,
        keys,
        numbers,
        st.sampled_from(Verdict),
        texts,
        st.lists(st.sampled_from(Verdict), max_size=2).map(tuple),
        st.booleans(),
    ),
    st.builds(Passed, times, keys, numbers),
    st.builds(Failed, times, keys, numbers, st.integers(0, 2), texts, st.booleans()),
    st.builds(
        Closed,
        times,
        keys,
        st.sampled_from(Result),
        texts,
        st.none() | st.booleans(),
        st.lists(st.sampled_from(TARGETS), max_size=2).map(tuple),
    ),
    st.builds(Storm, times, st.sampled_from(["a", "a/b", OWN_STORM]), texts, times, st.booleans()),
    st.builds(Crowded, times, st.sampled_from(["p", "q"]), st.integers(0, 20)),
    st.builds(
        Said,
        times,
        texts,
        st.sampled_from(Verb),
        texts,
        st.sampled_from(["", "e1", "e2", "e3", OWN_STORM]),
        st.none() | requests,
    ),
    st.builds(Loaded, times, st.sampled_from(["p", "q"]), st.just("") | hashes, texts, st.booleans()),
    st.builds(Led, times, st.integers(1, 5), texts),
)
trails = st.lists(records, max_size=40)
