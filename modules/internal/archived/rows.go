package archived

import (
	"context"
	"errors"
	"math"
	"slices"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// chunk is how many rows are read at a time that are asked for by their ids.
const chunk = 20

// errElsewhere is for a page that does not begin at the row that it should follow.
var errElsewhere = errors.New("no such row in the set")

// locate finds out what the ids in a query mean. One that the archive does not have
// is item-not-found (XEP-0313 §4.1.3, §4.3.2). Most often the only one is that of the
// page before: it is left to rows, which reads its row with the page.
func (a *Reader) locate(ctx context.Context, s *selection) error {
	if s.follows() != (position{}) {
		return nil
	}
	return a.require(ctx, s)
}

// follows is the only id in a query, if that is where its page begins.
func (s *selection) follows() position {
	begin, end := s.pageAfterID, s.pageBeforeID
	if s.page.Backward {
		begin, end = end, begin
	}
	only := end == position{} && s.afterID == position{} && s.beforeID == position{}
	if !only || s.ids != nil || s.none || s.set.Words != nil || s.page.Max == 0 || begin.seq == math.MaxInt64 {
		return position{}
	}
	return begin
}

// require makes sure that the archive has the ids of a query.
func (a *Reader) require(ctx context.Context, s *selection) error {
	at := make([]position, 0, positionsMax)
	for _, p := range []position{s.afterID, s.beforeID, s.pageAfterID, s.pageBeforeID} {
		if p != (position{}) {
			at = append(at, p)
		}
	}
	if len(at) > 0 {
		if _, err := a.find(ctx, s.set.Owner, at); err != nil {
			return err
		}
	}
	s.set.After, s.set.Before = s.afterID.seq, s.beforeID.seq
	return nil
}

// find reads the rows of ids, in the order of the archive; all of them must be
// there.
func (a *Reader) find(ctx context.Context, owner jid.JID, at []position) ([]storage.Message, error) {
	seqs := make([]int64, len(at))
	for i, p := range at {
		seqs[i] = p.seq
	}
	slices.Sort(seqs)
	rows, err := a.Store.ArchiveRows(ctx, owner, slices.Compact(seqs))
	if err != nil {
		return nil, err
	}
	for _, p := range at {
		if !slices.ContainsFunc(rows, func(m storage.Message) bool { return m.Seq == p.seq && m.Tag == p.tag }) {
			return nil, unknownID()
		}
	}
	return rows, nil
}

// query is the set together with the position of the page in it.
func (s *selection) query() storage.ArchiveQuery {
	q := s.set
	q.After = max(q.After, s.pageAfterID.seq)
	if b := s.pageBeforeID.seq; b != 0 && (q.Before == 0 || b < q.Before) {
		q.Before = b
	}
	q.Backward = s.page.Backward
	return q
}

// rows takes the rows of a page and one more, which tells whether it is the last.
func (a *Reader) rows(ctx context.Context, s *selection, p *page) error {
	if p.max == 0 {
		return nil
	}
	q := s.query()
	q.Limit, q.Size = p.max+1, &p.size
	if before := s.follows(); before != (position{}) {
		err := a.behind(ctx, q, before, p)
		if !errors.Is(err, errElsewhere) {
			return err
		}
		if err := a.require(ctx, s); err != nil {
			return err
		}
	}
	return ended(a.Store.Archive(ctx, q, p.take))
}

// ended takes a full page for no error.
func ended(err error) error {
	if errors.Is(err, errFull) {
		return nil
	}
	return err
}

// behind takes the rows behind one, which is the first that is read.
func (a *Reader) behind(ctx context.Context, q storage.ArchiveQuery, before position, p *page) error {
	if q.Limit++; q.Backward {
		q.Before = before.seq + 1
	} else {
		q.After = before.seq - 1
	}
	found := false
	err := ended(a.Store.Archive(ctx, q, func(m *storage.Message) error {
		switch {
		case found:
			return p.take(m)
		case before != position{m.Seq, m.Tag}:
			return errElsewhere
		}
		found = true
		return nil
	}))
	if err == nil && !found {
		return errElsewhere
	}
	return err
}

// byIDs is rows for those that are asked for by themselves. All are looked for
// before any is sent, a few at a time; what does not fit into the page is let go of
// at once.
func (a *Reader) byIDs(ctx context.Context, s *selection, p *page) error {
	ids := slices.Clone(s.ids)
	slices.SortFunc(ids, func(a, b position) int { return int(min(max(a.seq-b.seq, -1), 1)) })
	ids = slices.Compact(ids)
	if s.page.Backward {
		slices.Reverse(ids)
	}
	q, full := s.query(), false
	p.hold, p.count = true, 0
	for part := range slices.Chunk(ids, chunk) {
		rows, err := a.find(ctx, s.set.Owner, part)
		if err != nil {
			return err
		}
		if s.page.Backward {
			slices.Reverse(rows)
		}
		for i := range rows {
			m := &rows[i]
			if !matches(&s.set, m) {
				continue
			}
			p.count++
			if full || p.max == 0 || m.Seq <= q.After || q.Before != 0 && m.Seq >= q.Before {
				continue
			}
			copied := *m // the chunk is not to stay for its sake
			full = p.take(&copied) != nil
		}
	}
	return nil
}

// matches reports whether a row of the archive belongs to the set.
func matches(q *storage.ArchiveQuery, m *storage.Message) bool {
	switch {
	case m.Seq <= q.After || q.Before != 0 && m.Seq >= q.Before:
		return false
	case !q.Start.IsZero() && m.Arrived.Before(q.Start) || !q.End.IsZero() && m.Arrived.After(q.End):
		return false
	case !q.With.IsZero() && m.Peer != q.With && (q.With.IsFull() || m.Peer.Bare() != q.With):
		return false
	}
	return q.Match == nil || q.Match(m)
}

// count is the size of the set; -1 where to find it out would take longer the larger
// it is, unless that is all the client wants (XEP-0059 §2.7) and it does not search.
func (a *Reader) count(ctx context.Context, s *selection, p *page) (int64, error) {
	q := s.set
	whole := s.pageAfterID.seq == 0 && s.pageBeforeID.seq == 0 && !p.more && p.max > 0
	cheap := q.Start.IsZero() && q.End.IsZero() && q.After == 0 && q.Before == 0 && !q.With.IsFull()
	switch {
	case s.none:
		return 0, nil
	case p.count >= 0:
		return p.count, nil
	case whole:
		return int64(p.n), nil
	case q.Words != nil || !cheap && p.max > 0:
		return -1, nil
	case cheap && p.size >= 0:
		return p.size, nil
	}
	return a.Store.CountArchive(ctx, q)
}
