-- +goose Up

-- Whoever owns rows. The counters of the message log are here, so that a write
-- group locks, reads and writes one row for each owner. The fill factor leaves
-- room for updates in place.
CREATE TABLE owner (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    jid          text COLLATE "C" NOT NULL UNIQUE,
    next_seq     bigint NOT NULL DEFAULT 1,
    stored       bigint NOT NULL DEFAULT 0,
    stored_bytes bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 70);

CREATE TABLE account (
    owner          bigint PRIMARY KEY REFERENCES owner (id) ON DELETE CASCADE,
    domain         text COLLATE "C" NOT NULL,
    local          text COLLATE "C" NOT NULL,
    created        timestamptz NOT NULL,
    ban_since      timestamptz,
    ban_reason     text,
    roster_version bigint NOT NULL,
    roster_floor   bigint NOT NULL, -- changes up to this version cannot be told apart any more
    UNIQUE (domain, local)
) WITH (fillfactor = 70);

CREATE TABLE credential (
    owner      bigint NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    hash       text   NOT NULL,
    iterations integer NOT NULL,
    salt       bytea  NOT NULL,
    stored_key bytea  NOT NULL,
    server_key bytea  NOT NULL,
    PRIMARY KEY (owner, hash)
);

CREATE TABLE roster (
    owner      bigint   NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    contact    text COLLATE "C" NOT NULL,
    name       text     NOT NULL,
    groups     text[]   NOT NULL,
    sub        smallint NOT NULL, -- bits: 1 to, 2 from
    ask        boolean  NOT NULL,
    approved   boolean  NOT NULL,
    pending_in bytea,
    listed     boolean  NOT NULL,
    version    bigint   NOT NULL,
    PRIMARY KEY (owner, contact)
);

CREATE TABLE roster_removal (
    owner   bigint NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    contact text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (owner, contact)
);

-- No foreign key: the transaction that adds a message has locked the owner's
-- row already, a check for each message would only cost time.
CREATE TABLE message (
    owner   bigint NOT NULL,
    seq     bigint NOT NULL,
    peer    text   NOT NULL,
    arrived timestamptz NOT NULL,
    xml     bytea  NOT NULL CHECK (octet_length(xml) > 0),
    PRIMARY KEY (owner, seq)
);
CREATE INDEX message_arrived ON message (arrived);

CREATE TABLE kv (
    owner     bigint NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    namespace text COLLATE "C" NOT NULL,
    key       text COLLATE "C" NOT NULL,
    value     bytea  NOT NULL,
    PRIMARY KEY (owner, namespace, key)
);

CREATE TABLE meta (
    key   text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
);
