package node_test

import (
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// sync has a client read what there is for it.
func (w *world) sync(s *sess) {
	s.c.Sync()
	for s.c.Waiting() != nil {
		w.accept(s, s.c.Next())
	}
	if len(s.expect) > 0 {
		w.fail("%s did not get\n%s", s.full, s.expect[0].note.xml)
	}
}

// accept takes what came to a session.
func (w *world) accept(s *sess, e *xmpptest.Element) {
	switch {
	case e.Name == "presence":
	case e.Name == "iq":
		s.answers[e.Attr("id")] = e
	case e.Name != "message", e.Attr("type") == "error":
		w.fail("%s got\n%s", s.full, e)
	case e.Child(nsArchive, "result") != nil, e.Child(nsInbox, "entry") != nil:
		s.results = append(s.results, e)
	case e.Child(nsCopies, "sent") != nil:
		w.receive(s, e.Find(nsCopies, "sent", nsForwarded, "forwarded", nsMessage, "message"), "sent")
	case e.Child(nsCopies, "received") != nil:
		w.receive(s, e.Find(nsCopies, "received", nsForwarded, "forwarded", nsMessage, "message"), "received")
	default:
		w.receive(s, e, "")
	}
}

// receive checks a note that came to a session: as it was sent, once if the archive
// has it, and what others of the account left behind besides what is expected.
func (w *world) receive(s *sess, e *xmpptest.Element, copied string) {
	n := 0
	if thread := e.Child(nsMessage, "thread"); thread != nil {
		n, _ = strconv.Atoi(thread.Text())
	}
	if n <= 0 || n >= len(w.notes) {
		w.fail("%s got what nobody has sent:\n%s", s.full, e)
	}
	m, a := w.notes[n], s.account
	canon, added := canonical(e, a.jid)
	if canon != m.canon {
		w.fail("%s got\n%s\ninstead of\n%s", s.full, canon, m.canon)
	}
	r := a.rows[n]
	w.checkID(a, r, added)
	if s.got[n] && r != nil && r.archived {
		w.fail("%s got twice\n%s", s.full, e)
	}
	i := slices.IndexFunc(s.expect, func(d due) bool { return d.note == m })
	switch {
	case i >= 0:
		if before := slices.IndexFunc(s.expect, func(d due) bool { return d.note.from == m.from }); before < i {
			w.fail("%s got this before %d:\n%s", s.full, s.expect[before].note.n, e)
		}
		if s.expect[i].copy != copied {
			w.fail("%s expects %q and got\n%s", s.full, s.expect[i].copy, e)
		}
		s.expect = slices.Delete(s.expect, i, i+1)
	case copied != "":
		w.fail("%s got a copy that is not for it:\n%s", s.full, e)
	case m.to.Bare() != a.jid:
		w.fail("%s got what is not for it:\n%s", s.full, e)
	case r != nil && r.settled:
		w.fail("%s got what had been confirmed:\n%s", s.full, e)
	}
	s.got[n] = true
	if r != nil {
		r.got = true
	}
}

// checkID compares the stanza-id of a note with the row of the account that got it.
func (w *world) checkID(a *account, r *row, added map[string]string) {
	id := added[a.jid.String()]
	switch {
	case id == "" && r != nil && r.archived:
		w.fail("without its id in the archive of %s:\n%s", a.jid, r.note.xml)
	case id != "" && (r == nil || r.id != "" && r.id != id):
		w.fail("with the wrong id %s in the archive of %s: %+v", id, a.jid, r)
	case len(added) > 1 || len(added) == 1 && id == "":
		w.fail("with an id of another archive than that of %s: %v", a.jid, added)
	case id != "":
		r.id = id
	}
}
