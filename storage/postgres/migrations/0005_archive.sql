-- +goose Up

-- The delivery cursor and what waits; stored and stored_bytes are the archive's.
ALTER TABLE owner ADD COLUMN last_arrived  bigint NOT NULL DEFAULT 0; -- microseconds since 1970
ALTER TABLE owner ADD COLUMN waiting       bigint NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN waiting_bytes bigint NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN delivered     bigint NOT NULL DEFAULT 0;
ALTER TABLE owner ADD COLUMN confirmed     bytea; -- storage.Ranges above delivered
UPDATE owner SET waiting = stored, waiting_bytes = stored_bytes, stored = 0, stored_bytes = 0;

-- Conversations, for the inbox. bare and resource are the other side: an account,
-- or the occupant of a room. The fill factor leaves room for updates in place: no
-- index knows the columns that change.
CREATE TABLE chat (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner    bigint NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    bare     text COLLATE "C" NOT NULL,
    resource text COLLATE "C" NOT NULL,
    archive  bigint NOT NULL, -- the owner in whose archive the seqs below count
    stored   bigint NOT NULL DEFAULT 0,
    last     bigint NOT NULL DEFAULT 0,
    shown    bigint NOT NULL DEFAULT 0,
    shown_id bigint NOT NULL DEFAULT 0,
    unread   bigint NOT NULL DEFAULT 0,
    read     bigint NOT NULL DEFAULT 0,
    UNIQUE (owner, bare, resource)
) WITH (fillfactor = 70);

-- Messages that the search knows or will know: the copies of each.
CREATE TABLE text (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner1 bigint NOT NULL, -- 0: there is no such copy (any more)
    seq1   bigint NOT NULL,
    owner2 bigint NOT NULL,
    seq2   bigint NOT NULL
);

-- A new table, because the order of the columns decides how much of a row is
-- padding. arrived never falls along seq, for one owner: times are found by the
-- primary key. There is no foreign key: the transaction that adds a message has
-- locked the owner's row already, a check for each message would only cost time.
CREATE TABLE log (
    owner   bigint NOT NULL,
    seq     bigint NOT NULL,
    tag     bigint NOT NULL,
    arrived timestamptz NOT NULL,
    chat    bigint, -- of archived rows
    key     bigint, -- storage.Key of the message's id
    text    bigint, -- entry of the search
    ref     bigint, -- storage.Key of the id that it corrects
    flags   smallint NOT NULL, -- storage.Flags
    peer    text   NOT NULL,
    xml     bytea  NOT NULL CHECK (octet_length(xml) > 0)
);
INSERT INTO log (owner, seq, tag, arrived, flags, peer, xml)
    SELECT owner, seq, ('x' || left(md5(gen_random_uuid()::text), 16))::bit(64)::bigint & 9223372036854775807,
        max(arrived) OVER (PARTITION BY owner ORDER BY seq), 4, peer, xml FROM message;
UPDATE owner SET last_arrived = m.latest
    FROM (SELECT owner, (extract(epoch FROM max(arrived)) * 1000000)::bigint AS latest FROM log GROUP BY owner) m WHERE m.owner = owner.id;
DROP TABLE message;
ALTER TABLE log RENAME TO message;
ALTER TABLE message ADD PRIMARY KEY (owner, seq);
CREATE INDEX message_waiting ON message (arrived) WHERE flags & 4 <> 0;
CREATE INDEX message_chat ON message (chat, seq) WHERE chat IS NOT NULL;
CREATE INDEX message_key ON message (chat, key, seq) WHERE key IS NOT NULL;
CREATE INDEX message_ref ON message (chat, ref, seq) WHERE ref IS NOT NULL;
