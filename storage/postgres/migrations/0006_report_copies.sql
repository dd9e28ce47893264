-- +goose Up

-- What was reported, as it stood in the reporter's archive: a JSON array of
-- storage.ReportCopy.
ALTER TABLE report ADD COLUMN copies text NOT NULL DEFAULT '[]';
