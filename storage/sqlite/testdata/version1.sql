-- A database as version 1 of the schema left it.
BEGIN TRANSACTION;
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
INSERT INTO "account" VALUES(1,'example.org','romeo',1795243067097262,NULL,NULL,1795243067097266,1795243067097262);
INSERT INTO "account" VALUES(2,'example.org','juliet',1795243067098371,1714564800123456,'feud',1795243067098371,1795243067098371);
CREATE TABLE credential (
    owner      INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    hash       TEXT    NOT NULL,
    iterations INTEGER NOT NULL,
    salt       BLOB    NOT NULL,
    stored_key BLOB    NOT NULL,
    server_key BLOB    NOT NULL,
    PRIMARY KEY (owner, hash)
) STRICT, WITHOUT ROWID;
INSERT INTO "credential" VALUES(1,'SHA-1',10000,X'73616C74',X'0001',X'0203');
INSERT INTO "credential" VALUES(1,'SHA-256',4096,X'73616C74',X'04',X'05');
CREATE TABLE goose_db_version (
		id INTEGER PRIMARY KEY AUTOINCREMENT,
		version_id INTEGER NOT NULL,
		is_applied INTEGER NOT NULL,
		tstamp TIMESTAMP DEFAULT (datetime('now'))
	);
INSERT INTO "goose_db_version" VALUES(1,0,1,'2026-11-21 06:37:47');
INSERT INTO "goose_db_version" VALUES(2,1,1,'2026-11-21 06:37:47');
CREATE TABLE kv (
    owner     INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    namespace TEXT    NOT NULL,
    key       TEXT    NOT NULL,
    value     BLOB    NOT NULL,
    PRIMARY KEY (owner, namespace, key)
) STRICT;
INSERT INTO "kv" VALUES(1,'test','key',X'76616C7565');
CREATE TABLE message (
    id      INTEGER PRIMARY KEY,
    owner   INTEGER NOT NULL,
    seq     INTEGER NOT NULL,
    peer    TEXT    NOT NULL,
    arrived INTEGER NOT NULL,
    xml     BLOB    NOT NULL CHECK (length(xml) > 0),
    UNIQUE (owner, seq)
) STRICT;
INSERT INTO "message" VALUES(2,1,2,'nurse@example.com/kitchen',1714564800123456,X'3C6D6573736167653E3C626F64793E323C2F626F64793E3C2F6D6573736167653E');
INSERT INTO "message" VALUES(3,1,3,'nurse@example.com/kitchen',1714564800123456,X'3C6D6573736167653E3C626F64793E333C2F626F64793E3C2F6D6573736167653E');
INSERT INTO "message" VALUES(4,2,1,'nurse@example.com/kitchen',1714564800123456,X'3C6D6573736167653E3C626F64793E343C2F626F64793E3C2F6D6573736167653E');
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('key',X'76616C7565');
CREATE TABLE owner (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    jid          TEXT    NOT NULL UNIQUE,
    next_seq     INTEGER NOT NULL DEFAULT 1,
    stored       INTEGER NOT NULL DEFAULT 0,
    stored_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO "owner" VALUES(1,'romeo@example.org',4,2,66);
INSERT INTO "owner" VALUES(2,'juliet@example.org',2,1,33);
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
INSERT INTO "roster" VALUES(1,'nurse@example.com','N','["a","b"]',3,0,0,NULL,1,1795243067097264);
INSERT INTO "roster" VALUES(1,'tybalt@example.org','N','["a","b"]',3,0,0,X'3C70726573656E63652F3E',1,1795243067097265);
CREATE TABLE roster_removal (
    owner   INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    contact TEXT    NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (owner, contact)
) STRICT, WITHOUT ROWID;
INSERT INTO "roster_removal" VALUES(1,'gone@example.org',1795243067097266);
CREATE INDEX message_arrived ON message (arrived);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('goose_db_version',2);
INSERT INTO "sqlite_sequence" VALUES('owner',3);
COMMIT;
