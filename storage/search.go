package storage

import (
	"fmt"

	"github.com/xmppd/xmppd/stanza"
)

// Bodies returns the texts of a stored message, one in each language. It may move
// bytes inside xml; see stanza.Stanza.Parse. st is its scratch.
func Bodies(st *stanza.Stanza, xml []byte) (list []string) {
	if st.Reparse(xml) != nil {
		return nil
	}
	for e := range st.Root().Children() {
		if e.Is(stanza.NSClient, "body") {
			list = append(list, e.Text())
		}
	}
	return list
}

// Selects reports whether the query selects a row of its owner's archive, apart from
// Limit: for rows that were found without it.
func (q *ArchiveQuery) Selects(m *Message) bool {
	switch {
	case !m.Flags.Has(Archived), m.Seq <= q.After, q.Before != 0 && m.Seq >= q.Before:
		return false
	case !q.Start.IsZero() && m.Arrived.Before(q.Start), !q.End.IsZero() && m.Arrived.After(q.End):
		return false
	case q.With.IsZero(), m.Peer == q.With, q.With.IsBare() && m.Peer.Bare() == q.With:
		return q.Match == nil || q.Match(m)
	}
	return false
}

const (
	searchRows   = 32   // of found messages that are in memory at a time
	searchAtOnce = 1024 // seqs that are read out of the index at a time, at most
	// searchPatience is how many rows a query may look at in vain: less than a second.
	// Only who searches for what is hardly ever together gets there, or who does so
	// while the index is far behind.
	searchPatience = 20_000
)

// Search is how a store answers a query with Words: the stores have the index, and
// this puts together what it has found and what is not in it yet.
type Search struct {
	Query *ArchiveQuery
	// New are the seqs of the owner's texts that are not in the index, in the order of
	// the query. They have to be read before the index is: what is put into it
	// meanwhile is found twice, which does no harm.
	New []int64
	// Next reads the next seqs out of the index, in the order of the query; fewer than
	// limit: there are no more. Rows that the query does not select may be among them.
	Next func(limit int) ([]int64, error)
	// Rows reads those of some rows that are in the archive, in the order of seqs.
	Rows func(seqs []int64) ([]Message, error)

	found []int64 // what Next has returned, not yet taken
	limit int     // of the next call
	ended bool    // there are no more
	last  int64   // that was taken
}

// Run calls fn with the rows that the query selects, in its order and up to its
// limit, until fn returns an error, which it returns. It gives up with ErrUnavailable
// if too many rows have to be looked at.
func (s *Search) Run(fn func(*Message) error) error {
	s.limit = min(max(s.Query.Limit, searchRows), searchAtOnce)
	refused := 0
	for left := s.Query.Limit; left > 0; {
		n := searchRows
		if refused == 0 {
			n = min(left, n)
		}
		seqs, err := s.take(n)
		if err != nil || len(seqs) == 0 {
			return err
		}
		if refused > searchPatience {
			return fmt.Errorf("look at more than %d messages: %w", refused, ErrUnavailable)
		}
		rows, err := s.Rows(seqs)
		if err != nil {
			return err
		}
		for i := 0; i < len(rows) && left > 0; i++ {
			m := rows[i] // the others are not to stay for its sake
			if !s.Query.Selects(&m) {
				refused++
				continue
			}
			left--
			if err := fn(&m); err != nil {
				return err
			}
		}
	}
	return nil
}

// take returns the next seqs of both sources, each once; none at the end.
func (s *Search) take(n int) (seqs []int64, err error) {
	for len(seqs) < n {
		if len(s.found) == 0 && !s.ended {
			if s.found, err = s.Next(s.limit); err != nil {
				return nil, err
			}
			s.ended = len(s.found) < s.limit
			s.limit = min(2*s.limit, searchAtOnce) // many of these were refused
			continue
		}
		var seq int64
		switch {
		case len(s.New) > 0 && (len(s.found) == 0 || s.Query.Backward == (s.New[0] >= s.found[0]) || s.New[0] == s.found[0]):
			seq, s.New = s.New[0], s.New[1:]
		case len(s.found) > 0:
			seq, s.found = s.found[0], s.found[1:]
		default:
			return seqs, nil
		}
		if seq != s.last {
			seqs, s.last = append(seqs, seq), seq
		}
	}
	return seqs, nil
}
