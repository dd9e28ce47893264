package session

import (
	"slices"
	"testing"

	"github.com/xmppd/xmppd/jid"
)

// Rows that no acknowledgement counts are told once, and taken in their order.
func TestUncounted(t *testing.T) {
	t.Parallel()
	o := NewOutbox(new(wire), NewChunks(0), 1<<20)
	told := 0
	o.OnUncounted(func() { told++ })
	for seq := range int64(4) { // 0 is none
		o.AppendRow([]byte("<message/>"), seq)
	}
	o.Flush()
	o.AppendStored([]byte("<message/>"), 4)
	if rows := o.Rows(nil); told != 1 || !slices.Equal(rows, []int64{1, 2, 3, 4, 4}) {
		t.Errorf("told %d times, rows %v", told, rows)
	}
	if rows := o.TakeUncounted(nil); !slices.Equal(rows, []int64{1, 2, 3, 4}) {
		t.Errorf("took %v", rows)
	}
	if rows := o.TakeUncounted(nil); len(rows) > 0 {
		t.Errorf("took %v once more", rows)
	}
	o.Manage(testManagement(1<<20, nil), nil)
	o.AppendRow([]byte("<message/>"), 5)
	if rows := o.TakeUncounted(nil); len(rows) > 0 || told != 1 {
		t.Errorf("took %v, which are counted; told %d times", rows, told)
	}
}

// A client that begins to count anew will not confirm what it got before.
func TestUncountedAnew(t *testing.T) {
	t.Parallel()
	o := manage(new(wire), 1<<20, nil)
	o.OnUncounted(func() {})
	o.AppendRow([]byte("<message/>"), 1)
	o.Flush()
	o.AppendRow([]byte("<message/>"), 2)
	o.Manage(testManagement(1<<20, nil), nil)
	if rows := o.TakeUncounted(nil); !slices.Equal(rows, []int64{1, 2}) {
		t.Errorf("took %v", rows)
	}
}

func TestSnapshotOfBind2(t *testing.T) {
	t.Parallel()
	for _, bind2 := range []bool{false, true} {
		s := New(Ref{}, jid.MustParse("juliet@capulet.lit/balcony"), Info{Bind2: bind2}, manage(new(wire), 1<<20, nil))
		s.Stream = new(Stream)
		data, err := s.Save().Encode()
		if err != nil {
			t.Fatal(err)
		}
		snap, err := DecodeSnapshot(data)
		if err != nil {
			t.Fatal(err)
		}
		again, err := snap.Session(Ref{})
		if err != nil || again.Info().Bind2 != bind2 {
			t.Errorf("%v became %v: %v", bind2, again.Info().Bind2, err)
		}
	}
}
