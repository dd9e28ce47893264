package storage

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// TestSearch: whatever stands in the index, beside it, or in both at once, is found
// once, in order, up to the limit.
func TestSearch(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 500 {
		q := &ArchiveQuery{Backward: r.IntN(2) == 0, Limit: 1 + r.IntN(100)}
		q.Match = func(m *Message) bool { return m.Seq%5 != 0 }
		var fresh, index, want []int64
		for seq := range int64(1 + r.IntN(3000)) {
			in := r.IntN(5)
			if in < 2 {
				index = append(index, seq+1)
			}
			if in == 1 || in == 2 {
				fresh = append(fresh, seq+1)
			}
			if in < 3 && (seq+1)%5 != 0 && (seq+1)%7 != 0 {
				want = append(want, seq+1)
			}
		}
		if q.Backward {
			slices.Reverse(fresh)
			slices.Reverse(index)
			slices.Reverse(want)
		}
		s := Search{Query: q, New: fresh,
			Next: func(limit int) ([]int64, error) {
				n := min(limit, len(index))
				next := index[:n]
				index = index[n:]
				return next, nil
			},
			Rows: func(seqs []int64) (rows []Message, err error) {
				if len(seqs) > searchRows {
					t.Errorf("%d rows at a time", len(seqs))
				}
				for _, seq := range seqs {
					if seq%7 != 0 { // gone
						rows = append(rows, Message{Seq: seq, Flags: Archived})
					}
				}
				return rows, nil
			}}
		var got []int64
		if err := s.Run(func(m *Message) error { got = append(got, m.Seq); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[:min(len(want), q.Limit)], got); diff != "" && len(got)+len(want) > 0 {
			t.Fatalf("limit %d, backward %v (-want +got):\n%s", q.Limit, q.Backward, diff)
		}
	}
}

func TestSearchErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, at := range []string{"index", "rows", "fn"} {
		fail := func(here string) error {
			if here == at {
				return broken
			}
			return nil
		}
		calls := 0
		s := Search{Query: &ArchiveQuery{Limit: 10}, New: []int64{1, 2},
			Next: func(int) ([]int64, error) { return nil, fail("index") },
			Rows: func([]int64) ([]Message, error) {
				return []Message{{Seq: 1, Flags: Archived}, {Seq: 2, Flags: Archived}}, fail("rows")
			}}
		if err := s.Run(func(*Message) error { calls++; return fail("fn") }); err != broken || calls > 1 {
			t.Errorf("%s: %v after %d calls", at, err, calls)
		}
	}
}

// TestSearchPatience: what is not found among many is given up, at any limit.
func TestSearchPatience(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 50} {
		looked, calls := 0, 0
		s := Search{Query: &ArchiveQuery{Limit: limit, Match: func(*Message) bool { return false }},
			Next: func(limit int) (seqs []int64, err error) {
				for range limit {
					looked++
					seqs = append(seqs, int64(looked))
				}
				return seqs, nil
			},
			Rows: func(seqs []int64) (rows []Message, err error) {
				calls++
				for _, seq := range seqs {
					rows = append(rows, Message{Seq: seq, Flags: Archived})
				}
				return rows, nil
			}}
		if err := s.Run(func(*Message) error { return nil }); !errors.Is(err, ErrUnavailable) {
			t.Errorf("error is %v", err)
		}
		if looked > searchPatience+2*searchAtOnce || calls > searchPatience/searchRows+2 {
			t.Errorf("limit %d: looked at %d rows in %d calls", limit, looked, calls)
		}
	}
}

func TestSelects(t *testing.T) {
	t.Parallel()
	owner, room := jid.MustParse("romeo@example.org"), jid.MustParse("hall@rooms.example.org")
	full := jid.MustParse("hall@rooms.example.org/tybalt")
	at := time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)
	row := Message{Owner: owner, Seq: 5, Flags: Archived, Peer: full, Arrived: at}
	for name, tt := range map[string]struct {
		q    ArchiveQuery
		want bool
	}{
		"everything":  {ArchiveQuery{}, true},
		"after":       {ArchiveQuery{After: 5}, false},
		"before":      {ArchiveQuery{Before: 5}, false},
		"between":     {ArchiveQuery{After: 4, Before: 6}, true},
		"start":       {ArchiveQuery{Start: at, End: at}, true},
		"too early":   {ArchiveQuery{Start: at.Add(1)}, false},
		"too late":    {ArchiveQuery{End: at.Add(-1)}, false},
		"with bare":   {ArchiveQuery{With: room}, true},
		"with full":   {ArchiveQuery{With: full}, true},
		"with other":  {ArchiveQuery{With: jid.MustParse("hall@rooms.example.org/nurse")}, false},
		"with domain": {ArchiveQuery{With: jid.MustParse("rooms.example.org")}, false},
		"refused":     {ArchiveQuery{Match: func(*Message) bool { return false }}, false},
	} {
		if got := tt.q.Selects(&row); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	row.Flags = Waiting
	if (&ArchiveQuery{}).Selects(&row) {
		t.Error("a row that is not in the archive")
	}
}

func TestBodies(t *testing.T) {
	t.Parallel()
	var st stanza.Stanza
	for xml, want := range map[string][]string{
		"<message><body>a &lt; b</body><subject>no</subject><body xml:lang='de'>c</body></message>": {"a < b", "c"},
		"<message><x xmlns='urn:x'><body>no</body></x><body xmlns='urn:y'>no</body></message>":      nil,
		"<message><body/></message>": {""},
		"<message><body>":            nil,
	} {
		if diff := cmp.Diff(want, Bodies(&st, []byte(xml))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", xml, diff)
		}
	}
}
