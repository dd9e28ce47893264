-- +goose Up

-- Resumable streams (XEP-0198). The fill factor leaves room for updates in place:
-- mostly only h changes, which no index knows.
CREATE TABLE stream (
    id       text COLLATE "C" PRIMARY KEY,
    owner    bigint      NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    h        bigint      NOT NULL,
    until    timestamptz NOT NULL,
    snapshot bytea
) WITH (fillfactor = 70);
CREATE INDEX stream_owner ON stream (owner);
CREATE INDEX stream_until ON stream (until);
CREATE INDEX stream_snapshot ON stream (id) WHERE snapshot IS NOT NULL;
