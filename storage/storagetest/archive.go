package storagetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// exchange is a message from one account to another as their archives take it: the
// sender's copy and the recipient's.
func exchange(from, to jid.JID, id, body string, at time.Time) [2]*storage.Message {
	xml := fmt.Appendf(nil, "<message type='chat' from='%s/balcony' to='%s' id='%s'><body>%s</body><origin-id xmlns='urn:xmpp:sid:0' id='%s'/>"+
		"<active xmlns='http://jabber.org/protocol/chatstates'/><markable xmlns='urn:xmpp:chat-markers:0'/></message>", from, to, id, body, id)
	text := new(storage.Text)
	flags := storage.Archived | storage.Unique | storage.Shown
	return [2]*storage.Message{
		{Owner: from, Peer: to, Chat: to.Bare(), Flags: flags | storage.FromOwner | storage.ReadsChat, ID: id, Text: text, Arrived: at, XML: xml},
		{Owner: to, Peer: resource(from, "balcony"), Chat: from.Bare(), Flags: flags | storage.Unread, ID: id, Text: text, Arrived: at, XML: xml},
	}
}

func resource(j jid.JID, r string) jid.JID {
	full, err := j.WithResource(r)
	if err != nil {
		panic(err)
	}
	return full
}

// archived is a message to romeo that is kept.
func archived(peer jid.JID, id, body string) *storage.Message {
	m := message(romeo, body)
	m.Peer, m.Chat, m.ID, m.Flags = peer, peer.Bare(), id, storage.Archived
	m.XML = fmt.Appendf(nil, "<message id='%s'><body>%s</body></message>", id, body)
	return m
}

func selected(t *testing.T, s Store, q storage.ArchiveQuery) []storage.Message {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 1000
	}
	var got []storage.Message
	must(t, s.Archive(t.Context(), q, func(m *storage.Message) error {
		got = append(got, *m)
		return nil
	}))
	return got
}

func seqs(messages []storage.Message) []int64 {
	list := []int64{}
	for _, m := range messages {
		list = append(list, m.Seq)
	}
	return list
}

// archiveModel compares what queries select with a list.
func archiveModel(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	r := rand.New(rand.NewPCG(1, 2))
	compareArchive(t, s, r, nil)
	var all []*storage.Message
	peers := []jid.JID{juliet, resource(juliet, "balcony"), resource(nurse, "kitchen"), romeo, resource(romeo, "orchard"),
		jid.MustParse("hall@rooms.example.org/tybalt"), jid.MustParse("hall@rooms.example.org/paris"), jid.MustParse("hall@rooms.example.org")}
	at := noon
	var run storage.Run
	for i := range 400 {
		at = at.Add(time.Duration(r.IntN(3)) * time.Second)
		m := archived(peers[r.IntN(len(peers))], fmt.Sprint(i), "body")
		if m.Peer.Domain() == "rooms.example.org" {
			m.Chat = m.Peer
		}
		if m.Arrived = at; r.IntN(10) == 0 {
			m.Arrived = at.Add(-time.Minute) // the clock of another node
		}
		if r.IntN(8) == 0 {
			m.Flags, m.Chat, m.ID = storage.Waiting, jid.JID{}, ""
		}
		run.Writes = append(run.Writes, m, archived2(juliet, fmt.Sprint(i)))
		all = append(all, m)
		if r.IntN(10) != 0 {
			continue
		}
		must(t, errors.Join(write(s, run.Writes...)...))
		run.Writes = nil
		if r.IntN(2) == 0 {
			confirm(t, s, romeo, 1, r.Int64N(m.Seq)+1) // leaves gaps
		}
	}
	must(t, errors.Join(write(s, run.Writes...)...))
	confirm(t, s, romeo, 1, 350)
	compareArchive(t, s, r, all)
	n, err := s.RemoveArchive(t.Context(), romeo, jid.JID{}, 40)
	must(t, err)
	for _, m := range all {
		if m.Flags.Has(storage.Archived) && n > 0 {
			m.Flags = 0
			n--
		}
	}
	compareArchive(t, s, r, all)
}

// archived2 is a row of another archive.
func archived2(owner jid.JID, id string) *storage.Message {
	m := archived(nurse, id, "of another archive")
	m.Owner = owner
	return m
}

func compareArchive(t *testing.T, s Store, r *rand.Rand, all []*storage.Message) {
	t.Helper()
	all = slices.DeleteFunc(slices.Clone(all), func(m *storage.Message) bool { return !m.Flags.Has(storage.Archived) })
	var first, last storage.ArchiveEnd
	if n := len(all); n > 0 {
		first = storage.ArchiveEnd{Seq: all[0].Seq, Tag: all[0].Tag, Arrived: all[0].Arrived}
		last = storage.ArchiveEnd{Seq: all[n-1].Seq, Tag: all[n-1].Tag, Arrived: all[n-1].Arrived}
	}
	if a, b, err := s.ArchiveEnds(t.Context(), resource(romeo, "orchard")); a != first || b != last || err != nil {
		t.Errorf("ends are %+v, %+v, %v; want %+v, %+v", a, b, err, first, last)
	}
	compareRows(t, s, all)
	for range 250 {
		q := storage.ArchiveQuery{Owner: romeo, Backward: r.IntN(2) == 0, Limit: 1 + r.IntN(60)}
		if len(all) > 0 {
			randomQuery(r, &q, all)
		}
		var want []*storage.Message
		for _, m := range all {
			if selects(q, m) {
				want = append(want, m)
			}
		}
		if n, err := s.CountArchive(t.Context(), q); n != int64(len(want)) || err != nil {
			t.Errorf("%+v: counted %d, %v; want %d", q, n, err, len(want))
		}
		if q.Backward {
			slices.Reverse(want)
		}
		want = want[:min(q.Limit, len(want))]
		size := int64(-1)
		q.Size = &size
		got := selected(t, s, q)
		if whole := sizeOf(all, q.With); len(got) > 0 && !q.With.IsFull() && size != whole {
			t.Errorf("%+v: there are %d, want %d", q, size, whole)
		}
		if len(got) != len(want) {
			t.Fatalf("%+v: %d rows, want %d", q, len(got), len(want))
		}
		for i, m := range got {
			w := *want[i]
			w.Chat, w.ID = jid.JID{}, ""
			if !cmp.Equal(w, m, byValue) {
				t.Fatalf("%+v: row %d (-want +got):\n%s", q, i, cmp.Diff(w, m, byValue))
			}
		}
	}
}

func sizeOf(all []*storage.Message, with jid.JID) (n int64) {
	for _, m := range all {
		if selects(storage.ArchiveQuery{With: with}, m) {
			n++
		}
	}
	return n
}

func randomQuery(r *rand.Rand, q *storage.ArchiveQuery, all []*storage.Message) {
	row := func() *storage.Message { return all[r.IntN(len(all))] }
	switch r.IntN(6) {
	case 0:
		q.With = row().Peer
	case 1:
		q.With = row().Peer.Bare()
	case 2:
		q.With = jid.MustParse("mercutio@example.com")
	}
	if r.IntN(3) == 0 {
		q.After = row().Seq
	}
	if r.IntN(3) == 0 {
		q.Before = row().Seq
	}
	edge := []time.Duration{0, 0, time.Nanosecond, time.Microsecond, -time.Microsecond, -time.Nanosecond, time.Hour, -time.Hour}
	if r.IntN(3) == 0 {
		q.Start = row().Arrived.Add(edge[r.IntN(len(edge))])
	}
	if r.IntN(3) == 0 {
		q.End = row().Arrived.Add(edge[r.IntN(len(edge))])
	}
}

func selects(q storage.ArchiveQuery, m *storage.Message) bool {
	return m.Seq > q.After && (q.Before == 0 || m.Seq < q.Before) &&
		(q.Start.IsZero() || !m.Arrived.Before(q.Start)) && (q.End.IsZero() || !m.Arrived.After(q.End)) &&
		(q.With.IsZero() || m.Peer == q.With || q.With.IsBare() && m.Peer.Bare() == q.With)
}

// compareRows asks for rows by their seqs, in any order, also twice and for some
// that there are not.
func compareRows(t *testing.T, s Store, all []*storage.Message) {
	t.Helper()
	list := []int64{-1, 0, 1 << 31, 1 << 32, 1<<63 - 1}
	for _, m := range slices.Backward(all) {
		list = append(list, m.Seq, m.Seq)
	}
	got, err := s.ArchiveRows(t.Context(), romeo, list)
	must(t, err)
	if len(got) != len(all) {
		t.Fatalf("%d rows, want %d", len(got), len(all))
	}
	for i, m := range got {
		want := *all[i]
		want.Chat, want.ID = jid.JID{}, ""
		if diff := cmp.Diff(want, m, byValue); diff != "" {
			t.Fatalf("row %d (-want +got):\n%s", i, diff)
		}
	}
}

// archiveStops: a reader may stop at any row, and nobody else's archive is read.
func archiveStops(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	for i := range 3 {
		must(t, store(s, archived(juliet, fmt.Sprint(i), "x")))
	}
	stop, n := errors.New("stop"), 0
	for _, q := range []storage.ArchiveQuery{{Owner: romeo}, {Owner: romeo, With: juliet}, {Owner: romeo, Backward: true}} {
		q.Limit, n = 3, 0
		if err := s.Archive(t.Context(), q, func(*storage.Message) error { n++; return stop }); err != stop || n != 1 {
			t.Errorf("%+v: went on for %d rows: %v", q, n, err)
		}
	}
	for _, other := range []jid.JID{juliet, nurse} {
		if got := selected(t, s, storage.ArchiveQuery{Owner: other}); len(got) != 0 {
			t.Errorf("%s has %d rows", other, len(got))
		}
		if n, err := s.CountArchive(t.Context(), storage.ArchiveQuery{Owner: other, With: romeo}); n != 0 || err != nil {
			t.Errorf("counted %d of %s, %v", n, other, err)
		}
		if rows, err := s.ArchiveRows(t.Context(), other, []int64{1, 2, 3}); len(rows) != 0 || err != nil {
			t.Errorf("%s: %d rows, %v", other, len(rows), err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := s.Archive(ctx, storage.ArchiveQuery{Owner: romeo, Limit: 1}, func(*storage.Message) error { return nil })
	wantError(t, err, storage.ErrUnavailable)
}

// archiveReader: see ArchiveReader.
func archiveReader(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	ArchiveReader(t, s, s)
}

// ArchiveReader lets writers, whose clocks are two seconds apart, write to the
// archives of romeo and juliet through several stores, while others read them page by
// page. They miss nothing, get nothing twice, and see no time fall.
func ArchiveReader(t *testing.T, stores ...Store) {
	t.Helper()
	const runs, size = 40, 5
	var writers, readers sync.WaitGroup
	done := make(chan struct{})
	for i, s := range stores {
		writers.Go(func() {
			for n := range runs {
				var r storage.Run
				for k := range size {
					from, to := romeo, juliet
					if (n+k)%2 == 0 {
						from, to = juliet, romeo
					}
					at := time.Now().Add(time.Duration(i) * 2 * time.Second)
					for _, m := range exchange(from, to, fmt.Sprint(i, "-", n, "-", k), "x", at) {
						r.Writes = append(r.Writes, m)
					}
				}
				s.Join(&r)
				r.Wait()
				if err := errors.Join(r.Errs...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, owner := range []jid.JID{romeo, juliet} {
		readers.Go(func() { readAll(t, stores[0], owner, len(stores)*runs*size, done) })
	}
	writers.Wait()
	close(done)
	readers.Wait()
}

// readAll follows an archive until done is closed and there is no more.
func readAll(t *testing.T, s Store, owner jid.JID, want int, done <-chan struct{}) {
	seen := make(map[string]bool)
	var last storage.Message
	for ended := false; ; {
		n := 0
		err := s.Archive(context.Background(), storage.ArchiveQuery{Owner: owner, After: last.Seq, Limit: 7}, func(m *storage.Message) error {
			if m.Seq != last.Seq+1 || m.Arrived.Before(last.Arrived) {
				t.Errorf("%d, %v follows %d, %v", m.Seq, m.Arrived, last.Seq, last.Arrived)
			}
			if seen[m.StanzaID()] || seen[string(m.XML)] {
				t.Errorf("%d is there twice", m.Seq)
			}
			seen[m.StanzaID()], seen[string(m.XML)] = true, true
			last = *m
			n++
			return nil
		})
		if err != nil {
			t.Error(err)
			return
		}
		if n == 0 && ended {
			break
		}
		select {
		case <-done:
			ended = true
		default:
		}
	}
	if len(seen) != 2*want {
		t.Errorf("%s has %d messages, want %d", owner, len(seen)/2, want)
	}
}

// unique: what its sender sends again is not stored again, for an hour.
func unique(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	again := func(after time.Duration, id string, want error) {
		t.Helper()
		copies := exchange(romeo, juliet, id, "x", noon.Add(after))
		for _, err := range write(s, copies[0], copies[1]) {
			wantError(t, err, want)
		}
		for _, m := range copies {
			if (want == nil) != (m.Seq != 0) || (want == nil) != (m.StanzaID() != "") || (want == nil) != (m.Text.ID != 0) {
				t.Errorf("seq is %d, text %d", m.Seq, m.Text.ID)
			}
		}
	}
	again(0, "a", nil)
	again(0, "a", storage.ErrExists)
	again(time.Hour, "a", storage.ErrExists)
	again(time.Hour, "b", nil)
	again(time.Hour+time.Second, "a", nil) // the first is too old now

	// In one group, and without a word to the rest of it.
	one, two, three := exchange(romeo, juliet, "c", "x", noon), exchange(romeo, juliet, "c", "x", noon), exchange(romeo, juliet, "d", "x", noon)
	wantErrors(t, write(s, one[0], one[1], two[0], two[1], three[0], three[1]), nil, nil, storage.ErrExists, storage.ErrExists, nil, nil)
	if three[0].Seq != one[0].Seq+1 {
		t.Errorf("seqs are %d and %d", one[0].Seq, three[0].Seq)
	}
	if got := d.Tables(t)["text"]; got != 5 {
		t.Errorf("%d texts", got)
	}

	// The other direction, another chat, and rows that may be repeated are others.
	back := exchange(juliet, romeo, "c", "x", noon)
	self := exchange(romeo, romeo, "c", "x", noon)[1]
	repeated := exchange(romeo, juliet, "c", "x", noon)
	repeated[0].Flags &^= storage.Unique
	wantErrors(t, write(s, back[0], back[1], self, repeated[0]), nil, nil, nil, nil)

	// The id of the stanza counts as well as its origin-id; a key alone does not.
	origin := archived(nurse, "attribute", "x")
	origin.XML, origin.ID = []byte("<message id='attribute'><origin-id xmlns='urn:xmpp:sid:0' id='origin'/></message>"), "origin"
	origin.Flags |= storage.Unique
	same := *origin
	wantErrors(t, write(s, origin, &same), nil, storage.ErrExists)
	d.Exec(t, fmt.Sprintf("UPDATE message SET key = %d WHERE key = %d", storage.Key("attribute", 0), storage.Key("origin", 0)))
	same = *origin
	same.ID = "attribute"
	wantErrors(t, write(s, &same), storage.ErrExists)
	d.Exec(t, fmt.Sprintf("UPDATE message SET key = %d WHERE key = %d", storage.Key("other", 0), storage.Key("attribute", 0)))
	other := *origin
	other.ID = "other"
	other.XML = bytes.ReplaceAll(other.XML, []byte("origin'"), []byte("other'"))
	wantErrors(t, write(s, &other), nil)

	// What has been retracted does not come back, though a tombstone has no origin-id.
	gone := archived(nurse, "gone", "x")
	gone.XML = []byte("<message><origin-id xmlns='urn:xmpp:sid:0' id='gone'/></message>")
	gone.Flags |= storage.Unique
	same = *gone
	wantErrors(t, write(s, gone), nil)
	wantErrors(t, write(s, retraction(romeo, nurse, false, "gone")), nil)
	wantErrors(t, write(s, &same), storage.ErrExists)
}
