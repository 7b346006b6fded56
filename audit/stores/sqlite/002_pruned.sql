-- At most one row, signed: the records up to `seq` were taken away on purpose. What is still there of them does not count.
CREATE TABLE pruned (
    one       INTEGER PRIMARY KEY CHECK (one = 1),
    seq       INTEGER NOT NULL,
    hash      BLOB    NOT NULL,
    epoch     INTEGER NOT NULL,
    at        REAL    NOT NULL,
    who       TEXT    NOT NULL,
    why       TEXT    NOT NULL,
    key       BLOB    NOT NULL,
    signature BLOB    NOT NULL
);
