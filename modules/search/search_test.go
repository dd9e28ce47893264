package search

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/storage"
)

const (
	romeo  = "romeo@capulet.lit/orchard"
	juliet = "juliet@capulet.lit/balcony"
)

func TestReadable(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(New(nil))
	for _, tt := range []struct {
		message string
		want    bool
	}{
		{"type='chat'><body>hi</body>", true},
		{"><body>hi</body>", true},
		{"type='chat'><body>hi</body><replace xmlns='urn:xmpp:message-correct:0' id='1'/>", true},
		{"type='chat'><subject>hi</subject>", false},
		{"type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/>", false},
		{"type='headline'><body>hi</body>", false},
		{"type='groupchat'><body>hi</body>", false},
		{"type='error'><body>hi</body>", false},
		{"type='chat'><body>secret</body><encrypted xmlns='eu.siacs.conversations.axolotl'/>", false},
		{"type='chat'><body>secret</body><encryption xmlns='urn:xmpp:eme:0' namespace='urn:x'/>", false},
		{"type='chat'><body>gone</body><retract xmlns='urn:xmpp:message-retract:1' id='1'/>", false},
	} {
		for _, side := range []modules.Side{modules.Sent, modules.Received} {
			for _, owed := range []bool{false, true} {
				row := new(storage.Message)
				_, err := w.Pass(side, modules.Archive, romeo, "<message to='"+juliet+"' "+tt.message+"</message>",
					func(f *modules.Flight) { f.Row, f.Owed = row, owed })
				if err != nil || (row.Text != nil) != (tt.want && !owed) {
					t.Errorf("%s, side %d, owed %v: %v, %v", tt.message, side, owed, row.Text, err)
				}
			}
		}
	}
}

// TestOneEntry: the copies of both accounts are one entry, and who writes to himself
// has one copy.
func TestOneEntry(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(New(nil))
	sent, received := new(storage.Message), new(storage.Message)
	pass := func(side modules.Side, to string, row, other *storage.Message) {
		t.Helper()
		if _, err := w.Pass(side, modules.Archive, romeo, "<message to='"+to+"' type='chat'><body>hi</body></message>", func(f *modules.Flight) {
			f.Row, f.Rows[modules.Sent] = row, other
		}); err != nil {
			t.Error(err)
		}
	}
	pass(modules.Sent, juliet, sent, nil)
	pass(modules.Received, juliet, received, sent)
	if sent.Text == nil || sent.Text != received.Text {
		t.Errorf("texts are %p and %p", sent.Text, received.Text)
	}
	*sent, *received = storage.Message{}, storage.Message{}
	pass(modules.Sent, romeo, sent, nil)
	pass(modules.Received, romeo, received, nil)
	if sent.Text != nil || received.Text == nil {
		t.Errorf("to himself: %v and %v", sent.Text, received.Text)
	}
}

type store struct {
	rows  []string
	words [][]string
	err   error
	limit int
	due   int // steps to erase what is deleted
	after int // rows that were left at the last one
}

func (s *store) EraseTexts(context.Context, time.Time) (more bool, err error) {
	if s.due > 0 {
		s.due, s.after = s.due-1, len(s.rows)
	}
	return s.due > 0, nil
}

func (s *store) IndexTexts(_ context.Context, limit int, words func([]byte) []string) (n int, err error) {
	for s.limit = limit; n < limit && len(s.rows) > 0; n++ {
		s.words = append(s.words, words([]byte(s.rows[0])))
		s.rows = s.rows[1:]
	}
	return n, s.err
}

func TestJob(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	s := &store{rows: make([]string, 3*batch), due: 3, after: -1}
	for i := range s.rows {
		s.rows[i] = "<message><body xml:lang='ko'>학교 &amp; school</body><body>Hi</body></message>"
	}
	m := New(s)
	w.Init(m)
	w.Init(m) // for another domain
	tasks := w.Tables.Tasks()
	if len(tasks) != 1 {
		t.Fatalf("%d tasks", len(tasks))
	}
	if err := tasks[0].Run(t.Context()); err != nil || len(s.rows) != 0 {
		t.Errorf("%d are left, %v", len(s.rows), err)
	}
	if s.due != 0 || s.after != 0 {
		t.Errorf("%d steps are left, %d rows were", s.due, s.after)
	}
	if diff := cmp.Diff("hi school 교 학 학교", strings.Join(s.words[0], " ")); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
	s.err = errors.New("broken")
	if err := tasks[0].Run(t.Context()); !errors.Is(err, s.err) {
		t.Errorf("error is %v", err)
	}
}

// TestLongTexts: a batch of long messages is followed by small ones, until it is known
// that they are short again.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	long := &strings.Builder{}
	for i := range 2000 {
		fmt.Fprintf(long, "word%d ", i)
	}
	s := &store{}
	m := New(s)
	try := func(text string, want int) {
		t.Helper()
		s.rows = slices.Repeat([]string{"<message><body>" + text + "</body></message>"}, 2*batch)
		if more, err := m.batch(t.Context()); !more || err != nil {
			t.Errorf("more: %v, %v", more, err)
		}
		if m.limit != want {
			t.Errorf("the next batch has %d, want %d", m.limit, want)
		}
	}
	try("short", batch)
	try(long.String(), 8)
	try("short", 16)
	try("short", 24)
}

// TestEraseStops: what is left to erase does not hold up a stop.
func TestEraseStops(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	s := &store{due: 1000}
	w.Init(New(s))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Tables.Tasks()[0].Run(ctx); err != nil || s.due < 999 {
		t.Errorf("%d steps are left, %v", s.due, err)
	}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	m := New(nil)
	row := &storage.Message{XML: []byte("<message><subject>no</subject><body>Is the day so young?</body><body xml:lang='ko'>한국어</body></message>")}
	for text, want := range map[string]bool{
		"DAY": true, "day 한국": true, "국어": true, "no": false, "한어": false, "da": false, "": false, "?": false,
	} {
		words, match := m.Query(text)
		if got := match(row); got != want {
			t.Errorf("%q: %v", text, got)
		}
		if (len(words) == 0) != (text == "" || text == "?") {
			t.Errorf("%q: words %q", text, words)
		}
	}
}
