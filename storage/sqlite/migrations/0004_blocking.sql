-- +goose Up

-- Whom an account has blocked (XEP-0191): full and bare addresses, and domains.
CREATE TABLE blocklist (
    owner INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    jid   TEXT    NOT NULL,
    PRIMARY KEY (owner, jid)
) STRICT, WITHOUT ROWID;

-- Reports of spam and abuse (XEP-0377). They are the reporter's rows; that the
-- reported account goes leaves them as they are.
CREATE TABLE report (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    reporter    INTEGER NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    reported    TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    texts       TEXT    NOT NULL, -- a JSON array of storage.ReportText
    messages    TEXT    NOT NULL, -- a JSON array of storage.StanzaID
    to_origin   INTEGER NOT NULL,
    third_party INTEGER NOT NULL,
    created     INTEGER NOT NULL,
    closed      INTEGER,
    comment     TEXT    NOT NULL DEFAULT ''
) STRICT;
CREATE INDEX report_reporter ON report (reporter, created);
CREATE INDEX report_open ON report (id) WHERE closed IS NULL;
