-- +goose Up

-- Whoever owns rows. The counters of the message log are here, so that a write
-- group reads and writes one row for each owner.
CREATE TABLE owner (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    jid          TEXT    NOT NULL UNIQUE,
    next_seq     INTEGER NOT NULL DEFAULT 1,
    stored       INTEGER NOT NULL DEFAULT 0,
    stored_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE account (
    owner          INTEGER PRIMARY KEY REFERENCES owner (id) ON DELETE CASCADE,
    domain         TEXT    NOT NULL,
    local          TEXT    NOT NULL,
    created        INTEGER NOT NULL, -- microseconds since 1970, as all times here
    ban_since      INTEGER,
    ban_reason     TEXT,
    roster_version INTEGER NOT NULL,
    roster_floor   INTEGER NOT NULL, -- changes up to this version cannot be told apart any more
    UNIQUE (domain, local)
) STRICT;

CREATE TABLE credential (
    owner      INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    hash       TEXT    NOT NULL,
    iterations INTEGER NOT NULL,
    salt       BLOB    NOT NULL,
    stored_key BLOB    NOT NULL,
    server_key BLOB    NOT NULL,
    PRIMARY KEY (owner, hash)
) STRICT, WITHOUT ROWID;

CREATE TABLE roster (
    owner      INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    contact    TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    groups     TEXT    NOT NULL, -- a JSON array of strings
    sub        INTEGER NOT NULL, -- bits: 1 to, 2 from
    ask        INTEGER NOT NULL,
    approved   INTEGER NOT NULL,
    pending_in BLOB,
    listed     INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    PRIMARY KEY (owner, contact)
) STRICT, WITHOUT ROWID;

CREATE TABLE roster_removal (
    owner   INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    contact TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (owner, contact)
) STRICT, WITHOUT ROWID;

-- No foreign key: the transaction that adds a message has read and written the
-- owner's row already, a check for each message would only cost time.
CREATE TABLE message (
    id      INTEGER PRIMARY KEY,
    owner   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    peer    TEXT    NOT NULL,
    arrived INTEGER NOT NULL,
    xml     BLOB    NOT NULL CHECK (length(xml) > 0),
    UNIQUE (owner, seq)
) STRICT;
CREATE INDEX message_arrived ON message (arrived);

CREATE TABLE kv (
    owner     INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    namespace TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    value     BLOB    NOT NULL,
    PRIMARY KEY (owner, namespace, key)
) STRICT;

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
