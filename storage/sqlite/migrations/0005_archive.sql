-- +goose Up

-- The delivery cursor and what waits; stored and stored_bytes are the archive's.
ALTER TABLE owner ADD COLUMN last_arrived  INTEGER NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN waiting       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN waiting_bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN delivered     INTEGER NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN confirmed     BLOB; -- storage.Ranges above delivered
UPDATE owner SET waiting = stored, waiting_bytes = stored_bytes, stored = 0, stored_bytes = 0,
    last_arrived = coalesce((SELECT max(arrived) FROM message WHERE owner = owner.id), 0);

-- Conversations, for the inbox. bare and resource are the other side: an account,
-- or the occupant of a room.
CREATE TABLE chat (
    id       INTEGER PRIMARY KEY AUTOINCREMENT,
    owner    INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    bare     TEXT    NOT NULL,
    resource TEXT    NOT NULL,
    archive  INTEGER NOT NULL, -- the owner in whose archive the seqs below count
    stored   INTEGER NOT NULL DEFAULT 0,
    last     INTEGER NOT NULL DEFAULT 0,
    shown    INTEGER NOT NULL DEFAULT 0,
    shown_id INTEGER NOT NULL DEFAULT 0,
    unread   INTEGER NOT NULL DEFAULT 0,
    read     INTEGER NOT NULL DEFAULT 0,
    UNIQUE (owner, bare, resource)
) STRICT;

-- Messages that the search knows or will know: the copies of each.
CREATE TABLE text (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    owner1 INTEGER NOT NULL, -- 0: there is no such copy (any more)
    seq1   INTEGER NOT NULL,
    owner2 INTEGER NOT NULL,
    seq2   INTEGER NOT NULL
) STRICT;

-- The id is owner << 32 | seq: the rows of an owner stand together, in order, and
-- each index below ends with it. arrived never falls along it, for one owner.
CREATE TABLE log (
    id      INTEGER PRIMARY KEY,
    tag     INTEGER NOT NULL,
    flags   INTEGER NOT NULL, -- storage.Flags
    chat    INTEGER,          -- of archived rows
    key     INTEGER,          -- storage.Key of the message's id
    ref     INTEGER,          -- the same of the id that it corrects
    text    INTEGER,          -- entry of the search
    peer    TEXT    NOT NULL,
    arrived INTEGER NOT NULL,
    xml     BLOB    NOT NULL CHECK (length(xml) > 0)
) STRICT;
INSERT INTO log (id, tag, flags, peer, arrived, xml)
    SELECT owner << 32 | seq, random() & 0x7fffffffffffffff, 4, peer,
        max(arrived) OVER (PARTITION BY owner ORDER BY seq), xml
    FROM message ORDER BY owner, seq;
DROP TABLE message;
ALTER TABLE log RENAME TO message;
CREATE INDEX message_chat ON message (chat) WHERE chat IS NOT NULL;
CREATE INDEX message_key ON message (chat, key) WHERE key IS NOT NULL;
CREATE INDEX message_waiting ON message (arrived) WHERE flags & 4;
CREATE INDEX message_ref ON message (chat, ref) WHERE ref IS NOT NULL;
