"""Why a mutant may survive. One without a reason here is a gap, and the page says so."""

GAP = "**a gap**: no test of this room notices"
_CAP = "equivalent: the maximum is reached long before"
_NEVER = "equivalent: never approved is 0, and no hour after 1970 is now"
_SHOWN = "a digit more of what people are shown; no decision turns on it"
_WORK = "equivalent: it only saves work that would find the same"
_OUTSIDE = "proven by tests that start processes of their own (crashes, power cuts, full disk), which see no mutant"
_REQUEST = "equivalent: only statements with a request are kept as requests"
_DIRECTORY = "equivalent: only folders are given"
_SECOND = "the second lock: what asks before it lets nothing of the kind through"
_FREED = "it frees now what goes with its owner anyway"
_FUZZED = "proven by the fuzzing of damaged files, whose seconds are not run here"
_CLOCK = "proven by tests that set the clock of a process (F13), which see no mutant"

REASONS: tuple[tuple[str, str, str], ...] = (
    ("", "64 -> 65", _CAP),
    ("", "32 -> 33", _CAP),
    ("", "os.O_RDONLY & os.O_DIRECTORY", _DIRECTORY),
    ("", "encoding='utf-8'", "equivalent on any system whose default is UTF-8"),
    ("export.py", "indent=-1) | 1 -> 2", "equivalent: any negative number means one line"),
    ("checkpoint.py", "os.pread(descriptor, 1, size - 1)", "equivalent: there is one byte left to read"),
    ("human.py", "at > 0 and age", _NEVER),
    ("ranking.py", "approved = episode.approved_at > 0", _NEVER),
    ("ranking.py", "start = int(now * GOLDEN", "another start of the same even walk"),
    ("ranking.py", "self._all =", "equivalent: an empty text is no reason either"),
    ("ranking.py", "if self._state.storms and of_target", _WORK),
    ("confidence.py", "4 -> 5", _SHOWN),
    ("knobs.py", "max(0, knob.streak - 1) // 2, 32)) | 0 -> 1", "equivalent: halved and rounded down it is the same"),
    ("knobs.py", "return after > before", "equivalent: they differ here"),
    ("stop.py", "left = max(0.0", "a storm that is over is said to be over before a guard is asked"),
    ("case.py", "keep = result is", "equivalent: no line gives an episode without an intent to a person"),
    ("follow_up.py", "said.request is not None", _REQUEST),
    ("agents.py", "said.request is not None", _REQUEST),
    ("state.py", "for said in i.requests if said.request", _REQUEST),
    ("agents.py", "strict=True", "equivalent: an assertion that holds"),
    ("agents.py", "strict=True)] | True", "equivalent: an assertion that holds"),
    ("agents.py", "len(rows) > most", "equivalent: the best of as many as there are"),
    ("agents.py", "if left <= 0", _WORK),
    ("agents.py", "| break | break", _WORK),
    ("agents.py", "left = OPENED_PER_TICK", _WORK),
    ("agents.py", "if standing.count}", _WORK),
    ("agents.py", "not episode.needs_human", "equivalent: what waits for a person has an intent"),
    ("tick.py", "intent is None and not episode.needs_human", "equivalent: what waits for a person has an intent"),
    ("tick.py", "self._goes_on(episode, policy)", _WORK),
    ("tick.py", "return not self._truth(policy).true[row]", _WORK),
    (
        "tick.py",
        "by_person=bool(proposal.by_person)",
        "equivalent: what a mask holds is asked of the guards all the same",
    ),
    ("tick.py", "if count != before and", "equivalent: a count of zero is in no crowd"),
    ("storm.py", "minlength=len(self._names)", "equivalent: only groups that are in it are looked at"),
    ("storm.py", "0.0 < current.until", "equivalent: no storm ends in the first second of 1970"),
    ("episode.py", "return self.intent is not None and", "equivalent where it is asked: of what acts"),
    ("agents.py", "standing.count < limits.max_open_episodes", _SECOND),
    ("agents.py", "chosen and chosen.refused", "equivalent: every policy has searched by then"),
    ("mode.py", "wish.plan.asks", "words for people: proven by tests/policies/test_library_kubernetes.py"),
    ("mode.py", "wish.state.ahead", _CLOCK),
    ("ranking.py", "self._state.ahead", _CLOCK),
    ("state.py", "ATTEMPTS_EXHAUSTED", "equivalent: no other word about an episode gets as far"),
    ("tick.py", "episode.policy_hash != proposal.policy_hash", _SECOND),
    ("checkpoint.py", "raise refused(error, path) from error", _OUTSIDE),
    ("prune.py", "record {last} is missing", _SECOND),
    ("prune.py", "record and record.hash == checkpoint.hash", _SECOND),
    ("prune.py", "epochs[0][0] if epochs", "no journal of a loop begins without a leader"),
    ("prune.py", "first < c.seq", "equivalent: there is nothing to take away before the first"),
    ("connection.py", "_file_system_says(path)", _OUTSIDE),
    ("connection.py", "refused(", _OUTSIDE),
    ("connection.py", "explained(error, path)", _OUTSIDE),
    ("connection.py", "_NO_WRITE", _OUTSIDE),
    ("connection.py", "os.write(descriptor", _OUTSIDE),
    ("connection.py", "os.fsync(descriptor)", _OUTSIDE),
    ("connection.py", "SELECT one FROM chain", _OUTSIDE),
    ("connection.py", "_durable(connection)", _OUTSIDE),
    ("connection.py", "_discard(draft)", "the next start discards it, too"),
    ("connection.py", "384 -> 385", "it has no name: nobody can open it"),
    ("connection.py", "close(", _FREED),
    ("connection.py", "True -> False", "equivalent where SQLite takes URIs everywhere"),
    (
        "connection.py",
        "sqlite3.connect(",
        "equivalent: transactions are begun by name; the wait is the default one",
    ),
    ("read_only.py", "| del ", "equivalent: it only says that they are not used"),
    ("read_only.py", "close()", _FREED),
    ("read_only.py", "self._drop()", _FREED),
    ("read_only.py", "__cause__", "for who debugs; the words are the same"),
    ("read_only.py", "limit(connection", _FUZZED),
    ("sqlite.py", "self._file = (0, 0)", "equivalent: no file has that number"),
    ("sqlite.py", "limit(connection", _FUZZED),
    ("sqlite.py", "MAX_STATE", "a bound: one byte more or less is no matter"),
    ("sqlite.py", "DELETE FROM checkpoints", "what they vouched for is gone: they only take room"),
    ("sqlite.py", "poisons(error)", _OUTSIDE),
    ("sqlite.py", "self._drop()", _OUTSIDE),
    ("sqlite.py", "self._roll_back()", _OUTSIDE),
    ("sqlite.py", "self._connection.in_transaction", _OUTSIDE),
    ("sqlite.py", "self._seen", _SECOND),
    ("sqlite.py", "head - TAIL", "equivalent: where they are equal nothing is left out"),
    ("sqlite.py", "record {head - TAIL} is missing", _SECOND),
    ("sqlite.py", "row.epoch > epoch", "only which of two troubles is told"),
    ("sqlite.py", "pruned.seq < gone", _SECOND),
    ("sqlite.py", "pruned.seq >= states", _SECOND),
    ("sqlite.py", "entry.at + 0.0", "equivalent but for -0.0, which no clock says"),
    ("sqlite.py", "fetchone()[0] > old", "equivalent: one that is just as old goes at the next append"),
    ("verify.py", "report.ok or store.pruned()", "equivalent: what is right is only read once more"),
    ("verify.py", "bad = bad or _Bad", "only which of two troubles is told"),
    ("verify.py", "if bad and bad.seq is not None", "only which of two troubles is told"),
    ("verify.py", "| continue | continue -> break", "only which of two troubles is told"),
    ("verify.py", "(pruned.chain, pruned.algorithm)", _SECOND),
    ("verify.py", "record.epoch > self._epoch", "differs only where somebody takes the lead while it is read"),
    ("verify.py", "1 + PAGE", "how many are read one by one at most: it ends at the first that can not be read"),
    ("verify.py", "not self._checked and self._link.seq", "a note for people, no finding"),
    ("verify.py", "appended since we began", "differs only where somebody appends while it is read"),
    ("verify.py", "checkpoint.seq > self._link.seq", "differs only where somebody appends while it is read"),
    ("verify.py", "timespec='seconds'", _SHOWN),
    ("verify.py", "at {at}", _SHOWN),
    ("reading.py", "wide=True", _FUZZED),
    ("reading.py", "True -> False", _FUZZED),
    ("reading.py", "abs(seq) <= MAX_SEQ", "a bound: one more or less is no matter"),
    ("mounts.py", "len(point) >= len(best[1])", "differs only where a mount hides an older one below it"),
    ("connection.py", "fcntl.flock", _OUTSIDE),
    ("connection.py", "journal mode is", "SQLite refuses WAL on file systems that a test can not mount"),
)
"""Part of the module's name, part of the mutant's name, and the reason; the first that fits."""


def reason(name: str) -> str:
    """Why this one stands."""
    module = name.partition(" | ")[0]
    return next((why for of, part, why in REASONS if of in module and part in name), GAP)
