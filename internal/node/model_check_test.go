package node_test

import (
	"context"
	"slices"

	"github.com/xmppd/xmppd/storage"
)

// drain has everything delivered and confirmed that can be, and looks for what got
// lost.
func (w *world) drain() {
	w.trace("drain")
	for _, d := range w.devices {
		if d.s == nil {
			w.connect(d)
		} else if !d.s.connected {
			w.resume(d.s)
		}
		w.announce(d.s, true, 0)
	}
	for w.waiting() != nil { // those that were replaced
		w.pass(40)
	}
	w.until("everything is delivered", func() bool {
		for _, s := range w.connected() {
			if s.manage {
				s.c.Ack(0)
			}
		}
		w.pass(2)
		return !slices.ContainsFunc(w.order, w.owes)
	})
	for _, a := range w.order {
		for _, m := range w.notes[1:] {
			r := a.rows[m.n]
			if r == nil || r.sent || r.settled {
				continue
			}
			if r.settled = true; !r.got && r.tomb == "" {
				w.fail("no device of %s ever got\n%s", a.jid, m.xml)
			}
		}
	}
}

// owes reports whether the log of an account has what no client has confirmed.
func (w *world) owes(a *account) bool {
	rows, err := w.db.PendingMessages(context.Background(), a.jid, 0, 0, 1)
	if err != nil {
		w.fail("read what waits: %v", err)
	}
	n, err := w.db.CountMessages(context.Background(), a.jid)
	if err != nil {
		w.fail("count what waits: %v", err)
	}
	return len(rows) > 0 || n > 0
}

// audit compares all that the accounts can see.
func (w *world) audit() {
	w.trace("audit")
	for _, a := range w.order {
		s := pick(w.r, a.sessions)
		q := &query{page: page{max: 100, last: w.chance(2)}}
		for seen := 0; ; {
			rows := w.readArchive(s, q)
			if seen += len(rows); len(rows) < q.max {
				if seen != len(a.log) {
					w.fail("%s has seen %d rows of %d", s.full, seen, len(a.log))
				}
				break
			}
			if q.last {
				q.page.before = rows[0].id
			} else {
				q.page.after = rows[len(rows)-1].id
			}
		}
		w.readInbox(s, page{max: -1}, false, true)
		w.readInbox(s, page{max: -1}, true, false)
		for range 4 {
			w.readArchive(s, &query{text: sought(w.r), page: page{max: 250, last: w.chance(2)}})
		}
	}
}

// learn takes over the ids and stamps of new rows, which are the server's choice.
func (w *world) learn(a *account) {
	fresh := a.log
	for len(fresh) > 0 && fresh[0].stamp != "" {
		fresh = fresh[1:]
	}
	rows := w.stored(a, a.learned)
	if len(rows) != len(fresh) {
		w.fail("%d new rows in the archive of %s:%s\nwant %d:%s", len(rows), a.jid, dump(rows, (*storage.Message).StanzaID), len(fresh), dump(fresh, (*row).canon))
	}
	for i, m := range rows {
		r := fresh[i]
		if n := threadOf(m); n != r.note.n && r.tomb == "" || r.id != "" && r.id != m.StanzaID() {
			w.fail("the archive of %s has %d as %s, want %d as %s", a.jid, n, m.StanzaID(), r.note.n, r.id)
		}
		r.id, r.stamp, a.learned = m.StanzaID(), m.Arrived.UTC().Format("2006-01-02T15:04:05.000Z"), m.Seq
	}
}

// stored reads an archive out of the store, behind a row.
func (w *world) stored(a *account, seq int64) (rows []*storage.Message) {
	q := storage.ArchiveQuery{Owner: a.jid, After: seq, Limit: 1 << 20}
	if err := w.db.Archive(context.Background(), q, func(m *storage.Message) error {
		rows = append(rows, m)
		return nil
	}); err != nil {
		w.fail("read archive: %v", err)
	}
	return rows
}

// dump prints a list.
func dump[T any](list []T, text func(T) string) (all string) {
	for _, e := range list {
		all += "\n" + text(e)
	}
	return all
}
