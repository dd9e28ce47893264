-- +goose Up

-- Counts what makes tokens and unfinished logins void.
ALTER TABLE account ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

-- Tokens of clients (XEP-0484), two at most for each user agent: the one in use
-- and a new one that has not been used yet. They cannot be used by who knows
-- these rows alone.
CREATE TABLE token (
    owner     INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    agent     TEXT    NOT NULL,
    fresh     INTEGER NOT NULL, -- not used yet
    software  TEXT    NOT NULL,
    device    TEXT    NOT NULL,
    mechanism TEXT    NOT NULL,
    nonce     BLOB    NOT NULL,
    created   INTEGER NOT NULL,
    used      INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    count     INTEGER NOT NULL,
    PRIMARY KEY (owner, agent, fresh)
) STRICT, WITHOUT ROWID;
