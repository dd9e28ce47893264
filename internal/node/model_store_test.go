package node_test

import (
	"context"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/storage"
)

// removeSome removes a conversation from the archive of an account.
func (w *world) removeSome(s *sess) {
	a := s.account
	w.learn(a)
	if len(a.log) == 0 {
		return
	}
	with := pick(w.r, a.log).peer()
	if !w.chance(4) {
		with = with.Bare()
	}
	w.trace("remove %s from the archive of %s", with, a.jid)
	if out := w.run("remove_mam_for_user_with_peer", a.jid.Local(), xmpptest.Domain, with.String()); !strings.Contains(out, "removed") {
		w.fail("remove: %s", out)
	}
	a.remove(func(r *row) bool { return r.peer() == with || with.IsBare() && r.peer().Bare() == with })
}

// trim cuts all archives back, by size and perhaps by age.
func (w *world) trim(s *sess) {
	t := storage.Trim{Domain: xmpptest.Domain, Bytes: 20_000 + int64(w.r.IntN(60_000))}
	if rows := w.stored(s.account, 0); w.chance(3) && len(rows) > 0 {
		t.Before = rows[w.r.IntN(len(rows)+1)/2].Arrived
	}
	left := make(map[*account]int)
	for _, a := range w.order {
		w.learn(a)
		rows, bytes := w.stored(a, 0), int64(0)
		for _, m := range rows {
			bytes += int64(len(m.XML))
		}
		for len(rows) > 0 && (rows[0].Arrived.Before(t.Before) || bytes > t.Bytes) {
			bytes -= int64(len(rows[0].XML))
			rows = rows[1:]
		}
		left[a] = len(rows)
		gone := slices.Clone(a.log[:len(a.log)-len(rows)])
		a.remove(func(r *row) bool { return slices.Contains(gone, r) })
	}
	step, from := 1+w.r.IntN(200), int64(0)
	w.until("the archives are cut back", func() (done bool) { // one that is being written to may be left out
		var err error
		if _, from, err = w.db.TrimArchives(context.Background(), t, from, step); err != nil {
			w.fail("trim: %v", err)
		}
		return from == 0 && !slices.ContainsFunc(w.order, func(a *account) bool { return len(w.stored(a, 0)) != left[a] })
	})
}

func (w *world) rebuild(s *sess) {
	if out := w.run("rebuild_inbox", s.full.Local(), s.full.Domain()); !strings.Contains(out, "1 account") {
		w.fail("rebuild: %s", out)
	}
}
