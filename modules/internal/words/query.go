package words

import (
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	maxQuery  = 4096 // bytes
	maxTokens = 32
	maxSought = 32 // words that the index is asked for
)

// Query is a text that is searched for. It is found where all its words are, in
// any order; a run of unspaced script is found inside of longer ones. It may be
// used concurrently.
type Query struct{ words, runs []string }

// Parse makes a query of a text. Nothing in it has a special meaning. Of a very long
// one only the beginning counts: 32 words or runs.
func Parse(text string) *Query {
	q := &Query{}
	n := 0
	for token, run := range tokens(normal(shorten(text, maxQuery))) {
		if n == maxTokens {
			break
		}
		n++
		if run {
			q.runs = append(q.runs, token)
		} else {
			q.words = append(q.words, token)
		}
	}
	q.words, q.runs = unique(q.words), unique(q.runs)
	return q
}

// Empty reports whether there is nothing to search for: the text had no letters
// and no digits. Such a query matches nothing.
func (q *Query) Empty() bool { return len(q.words)+len(q.runs) == 0 }

// Words are those that the index knows each text by which Match accepts; it may
// know others by them too. Texts with more than Max words are the exception.
func (q *Query) Words() []string {
	list := slices.Clone(q.words)
	for _, r := range q.runs {
		if utf8.RuneCountInString(r) == 1 {
			list = append(list, r)
		} else {
			list = appendPairs(list, r)
		}
	}
	return list[:min(len(list), maxSought)]
}

// Match reports whether the query is found in texts that belong together. Unlike
// the index it knows which characters are neighbours.
func (q *Query) Match(texts ...string) bool {
	var found uint64 // bits: of the words, then of the runs
	all := uint64(1)<<(len(q.words)+len(q.runs)) - 1
	for _, text := range texts {
		for token, run := range tokens(normal(text)) {
			if !run {
				if i, ok := slices.BinarySearch(q.words, token); ok {
					found |= 1 << i
				}
			} else {
				for i, r := range q.runs {
					if strings.Contains(token, r) {
						found |= 1 << (len(q.words) + i)
					}
				}
			}
			if found == all {
				return !q.Empty()
			}
		}
	}
	return false
}
