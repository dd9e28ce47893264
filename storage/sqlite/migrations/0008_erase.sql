-- +goose Up

-- Words of deleted texts leave the index by a job, in small steps. Without it FTS5
-- would merge what has many deleted texts in the midst of deleting, for seconds.
INSERT INTO word (word, rank) VALUES ('deletemerge', 0);
-- What has been deleted so far is still in there.
INSERT INTO meta (key, value) SELECT 'search.deleted', CAST(0 AS BLOB) FROM meta WHERE key = 'search.indexed';
