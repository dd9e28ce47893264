package storagetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// wordsOf is the tokenizer of these tests: what stands between spaces in the body.
func wordsOf(xml []byte) []string {
	_, rest, _ := bytes.Cut(xml, []byte("<body>"))
	body, _, _ := bytes.Cut(rest, []byte("</body>"))
	return strings.Fields(string(body))
}

// searched asks for the messages with all of some words.
func searched(q storage.ArchiveQuery, words ...string) storage.ArchiveQuery {
	q.Words = words
	q.Match = func(m *storage.Message) bool {
		for _, w := range words {
			if !slices.Contains(wordsOf(m.XML), w) {
				return false
			}
		}
		return true
	}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	return q
}

func found(t *testing.T, s Store, q storage.ArchiveQuery) (seqs []int64) {
	t.Helper()
	seqs = []int64{}
	must(t, s.Archive(t.Context(), q, func(m *storage.Message) error {
		if m.Owner != q.Owner.Bare() || m.Tag == 0 || len(m.XML) == 0 || m.Arrived.IsZero() || m.Peer.IsZero() {
			t.Errorf("not a whole row: %+v", m)
		}
		seqs = append(seqs, m.Seq)
		return nil
	}))
	return seqs
}

func index(t *testing.T, s Store, limit int) int {
	t.Helper()
	n, err := s.IndexTexts(t.Context(), limit, wordsOf)
	must(t, err)
	return n
}

// searchModel compares what is found with a list, while the index is filled at any
// pace.
func searchModel(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet, nurse)
	r := rand.New(rand.NewPCG(1, uint64(len(t.Name()))))
	vocabulary := []string{"the", "love", "Montague", "rose", "사랑", "爱", "été", "name"}
	owners := []jid.JID{romeo, juliet, nurse}
	all := map[jid.JID][]*storage.Message{}
	at := noon
	for range 300 {
		from, to := owners[r.IntN(3)], owners[r.IntN(3)]
		body := []string{"the"}
		for range r.IntN(3) {
			body = append(body, vocabulary[r.IntN(len(vocabulary))])
		}
		at = at.Add(time.Duration(r.IntN(3)) * time.Second)
		copies := exchange(from, to, fmt.Sprint(len(all[from]), "-", len(all[to])), strings.Join(body, " "), at)
		if r.IntN(5) == 0 {
			copies[0].Text, copies[1].Text = nil, nil // encrypted
		}
		if r.IntN(10) == 0 { // in private, to the occupant of a room
			room := jid.MustParse("hall@rooms.example.org/tybalt")
			copies[0].Peer, copies[0].Chat = room, room
		}
		rows := copies[:]
		if from == to {
			rows = rows[1:]
		}
		must(t, store(s, rows...))
		for _, m := range rows {
			all[m.Owner] = append(all[m.Owner], m)
		}
		if r.IntN(20) == 0 {
			index(t, s, 1+r.IntN(20))
		}
		if r.IntN(15) == 0 { // as if there were many more
			d.Exec(t, fmt.Sprint("UPDATE owner SET next_seq = next_seq + ", r.IntN(1<<(4+r.IntN(16)))))
		}
		if r.IntN(3) == 0 {
			compareSearch(t, s, r, all[from], randomSearch(r, from, owners, vocabulary, all[from]))
		}
	}
	for index(t, s, 7) == 7 {
		continue
	}
	for range 300 {
		owner := owners[r.IntN(3)]
		compareSearch(t, s, r, all[owner], randomSearch(r, owner, owners, vocabulary, all[owner]))
	}
}

func randomSearch(r *rand.Rand, owner jid.JID, owners []jid.JID, vocabulary []string, rows []*storage.Message) storage.ArchiveQuery {
	q := storage.ArchiveQuery{Owner: owner, Backward: r.IntN(2) == 0, Limit: 1 + r.IntN(40)}
	row := func() *storage.Message { return rows[r.IntN(len(rows))] }
	switch r.IntN(5) {
	case 0:
		q.With = owners[r.IntN(3)]
	case 1:
		q.With = row().Peer
	case 2:
		q.With = row().Peer.Bare()
	}
	if r.IntN(3) == 0 {
		q.After = row().Seq
	}
	if r.IntN(3) == 0 {
		q.Before = row().Seq
	}
	if r.IntN(3) == 0 {
		q.Start = row().Arrived
	}
	if r.IntN(3) == 0 {
		q.End = row().Arrived
	}
	words := []string{vocabulary[r.IntN(len(vocabulary))]}
	if r.IntN(3) == 0 {
		words = append(words, vocabulary[r.IntN(len(vocabulary))])
	}
	return searched(q, words...)
}

func compareSearch(t *testing.T, s Store, r *rand.Rand, rows []*storage.Message, q storage.ArchiveQuery) {
	t.Helper()
	want := []int64{}
	rows = slices.Clone(rows)
	if q.Backward {
		slices.Reverse(rows)
	}
	for _, m := range rows {
		if len(want) < q.Limit && m.Text != nil && q.Match(m) && m.Seq > q.After && (q.Before == 0 || m.Seq < q.Before) &&
			(q.Start.IsZero() || !m.Arrived.Before(q.Start)) && (q.End.IsZero() || !m.Arrived.After(q.End)) &&
			(q.With.IsZero() || m.Peer == q.With || q.With.IsBare() && m.Peer.Bare() == q.With) {
			want = append(want, m.Seq)
		}
	}
	if diff := cmp.Diff(want, found(t, s, q)); diff != "" {
		q.Match = nil
		t.Fatalf("%+v (-want +got):\n%s", q, diff)
	}
}

// searchFar finds messages that are far from each other, page by page.
func searchFar(t *testing.T, d Database) {
	s := openWith(t, d, Options{}, romeo, juliet)
	var all []int64
	for _, at := range []int64{1, 4095, 8191, 1<<14 - 1, 1<<16 - 1, 3<<16 - 1, 1<<20 - 2, 9<<20 - 1} {
		d.Exec(t, fmt.Sprint("UPDATE owner SET next_seq = ", at))
		for range 3 {
			copies := exchange(romeo, juliet, fmt.Sprint(len(all)), "love", noon)
			must(t, store(s, copies[0], copies[1]))
			all = append(all, copies[0].Seq)
		}
	}
	index(t, s, 1000)
	for _, limit := range []int{1, 2, 40} {
		for _, owner := range []jid.JID{romeo, juliet} {
			q := searched(storage.ArchiveQuery{Owner: owner, Limit: limit}, "love")
			var forward, backward []int64
			for page := found(t, s, q); len(page) > 0; page = found(t, s, q) {
				forward = append(forward, page...)
				q.After = page[len(page)-1]
			}
			q.After, q.Backward = 0, true
			for page := found(t, s, q); len(page) > 0; page = found(t, s, q) {
				backward = append(backward, page...)
				q.Before = page[len(page)-1]
			}
			slices.Reverse(backward)
			if !slices.Equal(forward, all) || !slices.Equal(backward, all) {
				t.Errorf("%d at a time, forward %v, backward %v, want %v", limit, forward, backward, all)
			}
		}
	}
}
