package offline_test

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

func TestPlannedBeforeCommittedAfter(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, commit, _ := s.plan(message("one"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c)
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	s.expect(c, delivered("one"), asked)
}

// The message is committed when the session has looked, and is not available yet.
func TestCommittedBehindTheLook(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	_, commit, _ := s.plan(message("two"))
	s.read = func() {
		if err := commit(); err != nil {
			t.Error(err)
		}
	}
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	s.expect(c, delivered("one"), delivered("two"), asked)
}

func TestMissed(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	miss := func(delivered int, stored *storage.Message) (kept bool) {
		f, err := s.Pass(modules.Received, modules.Missed, romeo, message("m"), func(f *modules.Flight) {
			f.Delivered, f.Row = delivered, new(storage.Message)
			f.Rows[modules.Received] = stored
		})
		if err != nil {
			t.Fatal(err)
		}
		return f.Row.Flags.Has(storage.Waiting)
	}
	if miss(1, nil) {
		t.Error("kept, and another session got it")
	}
	if !miss(0, nil) {
		t.Error("not kept, and nobody got it")
	}
	if miss(0, &storage.Message{Seq: 1}) {
		t.Error("kept, and it stands in the log")
	}
}

// What was stored while the session became available does not arrive behind what
// comes to it directly, however much waits for the client.
func TestStoredBeforeDirect(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, commit, _ := s.plan(message("stored"))
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	c.Stall(true)
	c.Outbox.Append([]byte("<message/>"))
	c.Outbox.Flush()
	c.Outbox.Append([]byte("<message><body>" + strings.Repeat("x", 100<<10) + "</body></message>"))
	if err := commit(); err != nil {
		t.Fatal(err)
	}
	c.Outbox.Append([]byte(message("direct")))
	c.Stall(false)
	got := c.Received()
	for s.Answer(pong) {
		got += c.Received()
	}
	stored, direct := strings.Index(got, delivered("stored")), strings.Index(got, message("direct"))
	if stored < 0 || direct < stored {
		t.Errorf("stored at %d, direct at %d", stored, direct)
	}
}

// A session whose connection has ended, and which is not gone yet, does not keep
// messages from the others.
func TestEndedSessionTakesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, second := s.Login(juliet+"/balcony"), s.Login(juliet+"/chamber")
	first.Presence(available, 0)
	second.Presence(available, 0)
	first.Kick(stanza.StreamConflict, "")
	s.store(message("one"))
	s.expect(second, delivered("one"), asked)
}
