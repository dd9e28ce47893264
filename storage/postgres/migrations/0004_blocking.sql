-- +goose Up

-- Whom an account has blocked (XEP-0191): full and bare addresses, and domains.
CREATE TABLE blocklist (
    owner bigint NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    jid   text COLLATE "C" NOT NULL,
    PRIMARY KEY (owner, jid)
);

-- Reports of spam and abuse (XEP-0377). They are the reporter's rows; that the
-- reported account goes leaves them as they are.
CREATE TABLE report (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    reporter    bigint NOT NULL REFERENCES owner (id) ON DELETE CASCADE,
    reported    text   NOT NULL,
    reason      text   NOT NULL,
    texts       text   NOT NULL, -- a JSON array of storage.ReportText
    messages    text   NOT NULL, -- a JSON array of storage.StanzaID
    to_origin   boolean NOT NULL,
    third_party boolean NOT NULL,
    created     timestamptz NOT NULL,
    closed      timestamptz,
    comment     text   NOT NULL DEFAULT ''
);
CREATE INDEX report_reporter ON report (reporter, created);
CREATE INDEX report_open ON report (id) WHERE closed IS NULL;
