-- One row: which chain, and the fencing token.
CREATE TABLE chain (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    id        TEXT    NOT NULL,
    algorithm TEXT    NOT NULL,
    epoch     INTEGER NOT NULL,
    holder    TEXT    NOT NULL
);

-- The records. Nothing ever updates or deletes one.
CREATE TABLE entries (
    seq     INTEGER PRIMARY KEY,
    at      REAL    NOT NULL,
    epoch   INTEGER NOT NULL,
    actor   TEXT    NOT NULL,
    kind    TEXT    NOT NULL,
    subject TEXT    NOT NULL,
    body    BLOB    NOT NULL,
    hash    BLOB    NOT NULL
);

CREATE TABLE claims (
    object TEXT PRIMARY KEY,
    holder TEXT NOT NULL
) WITHOUT ROWID;

-- What was taken from each budget, in the order in which it was taken; within a bucket `at` never goes back.
CREATE TABLE spends (
    id     INTEGER PRIMARY KEY,
    bucket TEXT    NOT NULL,
    at     REAL    NOT NULL,
    amount INTEGER NOT NULL
);
CREATE INDEX spends_by_bucket ON spends (bucket, at, amount);

-- Signed. The state is kept for the two newest, the rest stays for the verifier.
CREATE TABLE checkpoints (
    seq       INTEGER PRIMARY KEY,
    hash      BLOB NOT NULL,
    digest    BLOB NOT NULL,
    at        REAL NOT NULL,
    key       BLOB NOT NULL,
    signature BLOB NOT NULL,
    state     BLOB
);
