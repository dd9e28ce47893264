package offline_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// Thousands wait, and somebody writes meanwhile: each comes once, in order.
func TestManyOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	var want []string
	for i := range 500 {
		romeo.Send(text(juliet, fmt.Sprint(i)))
		want = append(want, fmt.Sprint(i)+"+")
	}
	c := h.login(h.Node, "balcony").manage()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 100 {
			romeo.Send(text(juliet, fmt.Sprintf("live%d", i)))
		}
	}()
	c.available()
	<-done
	for i := range 100 {
		want = append(want, fmt.Sprintf("live%d", i))
	}
	got := strings.Fields(c.received())
	for i := range got {
		if strings.HasPrefix(got[i], "live") {
			got[i] = strings.TrimSuffix(got[i], "+")
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	c.ack(600)
	h.pass(2)
	h.expectLeft()
}

// Who confirms nothing gets no more than a window of what waits; the rest follows.
func TestWindow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	const n = 50
	for i := range n {
		romeo.Send(`<message to='` + juliet + `' id='` + strings.Repeat("x", 30<<10) + `'><body>` + fmt.Sprint(i) + `</body></message>`)
	}
	c := h.login(h.Node, "balcony").manage().available()
	first := len(strings.Fields(c.received()))
	if first < 30 || first > 37 {
		t.Errorf("%d messages of 30 KiB before anything is confirmed", first)
	}
	h.pass(10)
	c.expect("")
	c.ack(uint32(first))
	rest := len(strings.Fields(c.received()))
	if rest != n-first {
		t.Errorf("%d messages, then %d", first, rest)
	}
	c.ack(uint32(rest))
	h.pass(2)
	h.expectLeft()
}

// A message that is sent again comes out of the log if it was stored, but not
// delivered, before the server ended; it comes to nobody who has it.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	run := &storage.Run{Writes: []storage.Write{&storage.Message{
		Owner: jid.MustParse(juliet), Peer: romeo.JID, Chat: romeo.JID.Bare(), ID: "unique", Flags: storage.Archived | storage.Unique, Arrived: time.Now(),
		XML: []byte(`<message from='` + romeo.JID.String() + `' to='` + juliet + `' id='unique'><body>unique</body></message>`),
	}}}
	h.DB.Join(run)
	run.Wait()
	if run.Errs[0] != nil {
		t.Fatal(run.Errs[0])
	}
	c := h.login(h.Node, "balcony")
	h.Registry.SetPresence(c.Session, []byte("<presence/>"), 0) // had all, says the module
	c.expect("")
	for range 2 {
		romeo.Send(text(juliet, "unique"))
	}
	c.expect("unique+")
	romeo.Send(text(juliet, "unique"))
	c.expect("")
	h.pass(2)
	h.expectLeft()
}
