-- +goose Up

-- The index of words. A text is in the table text until a job moves it here, so that
-- text stays small, and so do its dead rows. words are hashes: of each word, of each
-- chat, and of each owner with a part of its log.
CREATE TABLE word (
    id     bigint PRIMARY KEY, -- of text
    owner1 bigint NOT NULL, -- as in text
    seq1   bigint NOT NULL,
    owner2 bigint NOT NULL,
    seq2   bigint NOT NULL,
    words  integer[] NOT NULL
);
-- New entries are noted down at the end of the index, at most so many kilobytes, until
-- the job has them sorted in.
CREATE INDEX word_words ON word USING gin (words) WITH (gin_pending_list_limit = 32768);

-- Its rows live for seconds, and every search reads it.
ALTER TABLE text SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
