-- +goose Up

-- Resumable streams (XEP-0198). Rows are short except between a planned stop and
-- the next start.
CREATE TABLE stream (
    id       TEXT    PRIMARY KEY,
    owner    INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    h        INTEGER NOT NULL,
    until    INTEGER NOT NULL,
    snapshot BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX stream_owner ON stream (owner);
CREATE INDEX stream_until ON stream (until);
CREATE INDEX stream_snapshot ON stream (id) WHERE snapshot IS NOT NULL;
