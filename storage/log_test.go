package storage_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/storage"
)

var noon = time.Date(2024, 5, 1, 12, 0, 0, 123456000, time.UTC)

func row(flags storage.Flags, size int) *storage.Message {
	return &storage.Message{Flags: flags, Arrived: noon, XML: make([]byte, size)}
}

func wantLog(t *testing.T, what string, got, want storage.Log) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestLogAdd(t *testing.T) {
	t.Parallel()
	l, c := storage.Log{Owner: 7, Next: 1}, storage.Chat{ID: 9}
	tags := map[int64]bool{}
	for i, m := range []*storage.Message{
		row(storage.Archived|storage.FromOwner|storage.Shown|storage.ReadsChat, 10),
		row(storage.Archived|storage.Waiting|storage.Shown|storage.Unread, 20),
		row(storage.Archived|storage.FromOwner, 40), // the row before is pending: the cursor stays
		row(storage.Waiting, 80),
		row(storage.Archived|storage.Unread, 160),
	} {
		chat := &c
		if !m.Flags.Has(storage.Archived) {
			chat = nil
		}
		if err := l.Add(m, chat); err != nil || m.Seq != int64(i+1) || m.Tag < 0 || tags[m.Tag] {
			t.Errorf("message %d: %v, seq %d, tag %d", i, err, m.Seq, m.Tag)
		}
		tags[m.Tag] = true
	}
	wantLog(t, "log", l, storage.Log{Owner: 7, Next: 6, Last: noon.UnixMicro(), Stored: 4, Bytes: 230, Waiting: 2, Queued: 100, Delivered: 1, Changed: true})
	if want := (storage.Chat{ID: 9, Stored: 4, Last: 5, Shown: 2, Unread: 2, Read: 1, Changed: true}); c != want {
		t.Errorf("chat is %+v, want %+v", c, want)
	}
}

// TestLogTime: no row is earlier than the one before.
func TestLogTime(t *testing.T) {
	t.Parallel()
	l := storage.Log{Next: 1}
	at := []time.Duration{0, time.Second, -time.Second, time.Second, 2 * time.Second, time.Microsecond}
	want := []time.Duration{0, time.Second, time.Second, time.Second, 2 * time.Second, 2 * time.Second}
	for i := range at {
		m := row(storage.Waiting, 1)
		m.Arrived = noon.Add(at[i])
		if err := l.Add(m, nil); err != nil || !m.Arrived.Equal(noon.Add(want[i])) {
			t.Errorf("message %d arrived at %v, %v", i, m.Arrived, err)
		}
	}
}

// TestLogLimits: the limits are of what waits, and a message that is refused leaves
// no trace.
func TestLogLimits(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		l     storage.Log
		flags storage.Flags
		limit int
		bytes int64
		want  error
	}{
		"none":             {storage.Log{Waiting: 100, Queued: 1000}, storage.Waiting, 0, 0, nil},
		"below":            {storage.Log{Waiting: 1}, storage.Waiting, 2, 0, nil},
		"reached":          {storage.Log{Waiting: 2}, storage.Waiting, 2, 0, storage.ErrTooMany},
		"bytes, to a hair": {storage.Log{Queued: 90}, storage.Waiting, 0, 100, nil},
		"bytes":            {storage.Log{Queued: 91}, storage.Waiting, 0, 100, storage.ErrTooMany},
		"archive is large": {storage.Log{Stored: 5, Bytes: 500}, storage.Waiting, 2, 100, nil},
		"does not wait":    {storage.Log{Waiting: 5, Queued: 500}, storage.Archived, 2, 100, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, chat := c.l, storage.Chat{}
			l.Next = 1
			before := l
			m := row(c.flags, 10)
			m.Seq, m.Limit, m.LimitBytes = 77, c.limit, c.bytes
			err := l.Add(m, &chat)
			if !errors.Is(err, c.want) {
				t.Errorf("error is %v", err)
			}
			if c.want != nil && (m.Seq != 0 || chat != storage.Chat{} || !cmp.Equal(before, l)) {
				t.Errorf("seq %d, log %+v, chat %+v", m.Seq, l, chat)
			}
		})
	}
}

func TestLogConfirm(t *testing.T) {
	t.Parallel()
	l := storage.Log{Next: 21, Delivered: 2}
	for _, c := range []struct {
		ranges    []storage.Range
		fresh     []storage.Range
		pending   int64 // the first row that is not the owner's, nor confirmed
		delivered int64
		confirmed storage.Ranges
	}{
		{[]storage.Range{{First: 1, Last: 2}}, nil, 3, 2, nil},
		{[]storage.Range{{First: 5, Last: 6}}, []storage.Range{{First: 5, Last: 6}}, 3, 2, storage.Ranges{{First: 5, Last: 6}}},
		{[]storage.Range{{First: 5, Last: 7}, {First: 10, Last: 10}}, []storage.Range{{First: 7, Last: 7}, {First: 10, Last: 10}}, 3, 2,
			storage.Ranges{{First: 5, Last: 7}, {First: 10, Last: 10}}},
		{[]storage.Range{{First: 3, Last: 3}}, []storage.Range{{First: 3, Last: 3}}, 4, 3, storage.Ranges{{First: 5, Last: 7}, {First: 10, Last: 10}}},
		// Row 8 is the owner's; so the cursor stands behind it.
		{[]storage.Range{{First: 4, Last: 4}}, []storage.Range{{First: 4, Last: 4}}, 9, 8, storage.Ranges{{First: 10, Last: 10}}},
		{[]storage.Range{{First: 9, Last: 9}}, []storage.Range{{First: 9, Last: 9}}, 11, 10, storage.Ranges{}},
		// The end of the log is the end of what can be confirmed.
		{[]storage.Range{{First: 1, Last: 1 << 40}}, []storage.Range{{First: 11, Last: 20}}, 0, 20, storage.Ranges{}},
	} {
		fresh := l.Confirm(c.ranges)
		if diff := cmp.Diff(c.fresh, fresh); diff != "" {
			t.Errorf("%v is new (-want +got):\n%s", c.ranges, diff)
		}
		l.Advance(c.pending)
		if l.Delivered != c.delivered || len(l.Confirmed) != len(c.confirmed) || len(c.confirmed) > 0 && !cmp.Equal(l.Confirmed, c.confirmed) {
			t.Errorf("%v: delivered %d, confirmed %v; want %d, %v", c.ranges, l.Delivered, l.Confirmed, c.delivered, c.confirmed)
		}
	}
}

// TestLogJoin: what stands next to newly confirmed rows is looked at once, and the
// owner's rows at its beginning are taken as confirmed.
func TestLogJoin(t *testing.T) {
	t.Parallel()
	l := storage.Log{Next: 31, Delivered: 2}
	for _, c := range []struct {
		ranges    []storage.Range
		pending   []int64 // the first row to be delivered, of each gap
		gaps      []storage.Range
		confirmed storage.Ranges
	}{
		{[]storage.Range{{First: 10, Last: 10}}, []int64{5}, []storage.Range{{First: 3, Last: 9}},
			storage.Ranges{{First: 3, Last: 4}, {First: 10, Last: 10}}},
		{[]storage.Range{{First: 20, Last: 21}}, []int64{0}, []storage.Range{{First: 11, Last: 19}},
			storage.Ranges{{First: 3, Last: 4}, {First: 10, Last: 21}}},
		{[]storage.Range{{First: 7, Last: 7}, {First: 25, Last: 25}}, []int64{5, 8, 0},
			[]storage.Range{{First: 5, Last: 6}, {First: 8, Last: 9}, {First: 22, Last: 24}},
			storage.Ranges{{First: 3, Last: 4}, {First: 7, Last: 7}, {First: 10, Last: 25}}},
		{[]storage.Range{{First: 10, Last: 25}}, nil, nil,
			storage.Ranges{{First: 3, Last: 4}, {First: 7, Last: 7}, {First: 10, Last: 25}}},
		{[]storage.Range{{First: 29, Last: 30}}, []int64{26}, []storage.Range{{First: 26, Last: 28}},
			storage.Ranges{{First: 3, Last: 4}, {First: 7, Last: 7}, {First: 10, Last: 25}, {First: 29, Last: 30}}},
	} {
		gaps := l.Gaps(l.Confirm(c.ranges))
		if diff := cmp.Diff(c.gaps, gaps); diff != "" {
			t.Fatalf("%v: gaps (-want +got):\n%s", c.ranges, diff)
		}
		for i, gap := range gaps {
			l.Join(gap, c.pending[i])
		}
		if diff := cmp.Diff(c.confirmed, l.Confirmed); diff != "" {
			t.Errorf("%v: confirmed (-want +got):\n%s", c.ranges, diff)
		}
	}
}

// TestLogForgets: a set with too many parts loses the newest.
func TestLogForgets(t *testing.T) {
	t.Parallel()
	l := storage.Log{Next: 1 << 20}
	for i := range int64(2 * storage.MaxRanges) {
		l.Confirm([]storage.Range{{First: 2*i + 2, Last: 2*i + 2}})
		l.Advance(1)
	}
	if len(l.Confirmed) != storage.MaxRanges || !l.Confirmed.Has(2) || l.Confirmed.Has(4*storage.MaxRanges) || l.Delivered != 0 {
		t.Errorf("%d ranges, delivered %d", len(l.Confirmed), l.Delivered)
	}
}

// TestLogRemove: what leaves the archive goes, unless it has to be delivered yet.
func TestLogRemove(t *testing.T) {
	t.Parallel()
	log := storage.Log{Next: 10, Stored: 4, Bytes: 100, Waiting: 1, Queued: 30, Delivered: 3, Confirmed: storage.Ranges{{First: 5, Last: 5}}}
	chat := storage.Chat{Stored: 3, Last: 8, Shown: 4, ShownID: 2, Unread: 2, Read: 3}
	for name, c := range map[string]struct {
		seq   int64
		flags storage.Flags
		keeps storage.Flags
		log   func(*storage.Log)
		chat  func(*storage.Chat)
	}{
		"delivered":         {2, storage.Archived | storage.Unread, 0, nil, nil},
		"shown":             {4, storage.Archived | storage.FromOwner | storage.Shown, 0, nil, func(c *storage.Chat) { c.Shown, c.ShownID = 0, 0 }},
		"unread":            {5, storage.Archived | storage.Unread, 0, nil, func(c *storage.Chat) { c.Unread-- }},
		"the owner's":       {6, storage.Archived | storage.FromOwner, 0, nil, nil},
		"waits":             {7, storage.Archived | storage.Waiting | storage.Shown, storage.Waiting, nil, nil},
		"on its way":        {8, storage.Archived, storage.Waiting, func(l *storage.Log) { l.Waiting, l.Queued = 2, 50 }, func(c *storage.Chat) { c.Last = 0 }},
		"waiting tombstone": {9, storage.Archived | storage.Waiting | storage.Tombstone, storage.Waiting | storage.Tombstone, nil, nil},
		"given up":          {2, storage.Archived | storage.Waiting, 0, func(l *storage.Log) { l.Waiting, l.Queued = 0, 10 }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, got, wantL, wantC := log, chat, log, chat
			wantL.Stored, wantL.Bytes, wantL.Changed = 3, 80, true
			wantC.Stored, wantC.Changed = 2, true
			if c.log != nil {
				c.log(&wantL)
			}
			if c.chat != nil {
				c.chat(&wantC)
			}
			if keeps := l.Remove(&got, c.seq, c.flags, 20); keeps != c.keeps {
				t.Errorf("it keeps %b, want %b", keeps, c.keeps)
			}
			wantLog(t, "log", l, wantL)
			if got != wantC {
				t.Errorf("chat is %+v, want %+v", got, wantC)
			}
		})
	}
}

func TestLogRetract(t *testing.T) {
	t.Parallel()
	l, c := storage.Log{Bytes: 100, Queued: 50}, storage.Chat{Unread: 2, Read: 3, Shown: 4}
	if f := l.Retract(&c, 4, storage.Archived|storage.Waiting|storage.Shown|storage.Unread, 20, 5); f != storage.Archived|storage.Waiting|storage.Shown|storage.Tombstone {
		t.Errorf("flags are %b", f)
	}
	if f := l.Retract(&c, 2, storage.Archived|storage.Unread, 5, 20); f != storage.Archived|storage.Tombstone {
		t.Errorf("flags are %b", f)
	}
	wantLog(t, "log", l, storage.Log{Bytes: 100, Queued: 35, Changed: true})
	if want := (storage.Chat{Unread: 1, Read: 3, Shown: 4, Changed: true}); c != want {
		t.Errorf("chat is %+v, want %+v", c, want)
	}
}

// TestChatShown: corrections of what stands in the inbox take its place, others do not.
// What only says that it corrects something is a message like others.
func TestChatShown(t *testing.T) {
	t.Parallel()
	const (
		unread   = storage.Shown | storage.Unread
		own      = storage.Shown | storage.FromOwner
		original = storage.Archived | storage.Shown
		receipt  = storage.Archived
	)
	l, c := storage.Log{Next: 1}, storage.Chat{}
	for i, r := range []struct {
		flags        storage.Flags
		id, replaces string
		original     storage.Flags
		shown        int64
		unread       int64
	}{
		{0, "a", "", 0, 0, 0},
		{unread, "c", "b", 0, 2, 1}, // of what nobody has
		{unread, "b", "", 0, 3, 2},
		{unread, "c", "b", original | storage.Unread, 4, 2},
		{unread, "d", "a", original, 4, 2},
		{unread, "e", "b", original, 6, 2},                  // both refer to the original
		{own, "e", "b", original | storage.FromOwner, 6, 2}, // nobody corrects what others have sent
		{unread, "f", "b", original | storage.Tombstone, 8, 2},
		{0, "f", "b", original, 8, 2},
		{own, "g", "", 0, 10, 2},
		{unread, "h", "b", original, 10, 2},
		{unread, "h", "g", 0, 12, 3},
		{own, "h", "g", original | storage.FromOwner, 12, 3},
		{unread, "i", "r", receipt, 14, 4}, // what nobody sees cannot be seen corrected
		{0, "j", "r", receipt, 14, 4},
		{own, "k", "h", original | storage.FromOwner, 14, 4},
		{unread, "l", "i", original, 17, 4},
	} {
		m := row(storage.Archived|r.flags|storage.Unique, 1)
		m.ID, m.Replaces, m.Original = r.id, r.replaces, r.original
		if err := l.Add(m, &c); err != nil || c.Shown != r.shown || c.Unread != r.unread {
			t.Errorf("message %d: %v; %d is shown, %d unread; want %d, %d", i+1, err, c.Shown, c.Unread, r.shown, r.unread)
		}
		if got, want := m.Kept().Has(storage.Unread), m.Flags.Has(storage.Unread) && m.Ref() == 0; got != want || m.Kept().Has(storage.Unique) {
			t.Errorf("message %d keeps %b", i+1, m.Kept())
		}
	}
}
