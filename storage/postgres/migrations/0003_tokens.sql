-- +goose Up

-- Counts what makes tokens and unfinished logins void.
ALTER TABLE account ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

-- Tokens of clients (XEP-0484), two at most for each user agent: the one in use
-- and a new one that has not been used yet. They cannot be used by who knows
-- these rows alone.
CREATE TABLE token (
    owner     bigint NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    agent     text COLLATE "C" NOT NULL,
    fresh     boolean NOT NULL, -- not used yet
    software  text   NOT NULL,
    device    text   NOT NULL,
    mechanism text   NOT NULL,
    nonce     bytea  NOT NULL,
    created   timestamptz NOT NULL,
    used      timestamptz NOT NULL,
    expires   timestamptz NOT NULL,
    count     bigint NOT NULL,
    PRIMARY KEY (owner, agent, fresh)
) WITH (fillfactor = 70);
