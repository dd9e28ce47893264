-- +goose Up

-- The index of words: the rowid is text.id. Its words come cut from the module, so
-- the tokenizer has to take them as they are; those that begin with _ stand for an
-- owner or a chat. Which texts are in it says the key search.indexed of meta.
CREATE VIRTUAL TABLE word USING fts5 (words, content = '', contentless_delete = 1,
    detail = none, tokenize = "ascii tokenchars '_'");
