package offline_test

import (
	"testing"

	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
)

// A ping is behind each message of a conversation, but in the long run there is one in
// two seconds.
func TestPingsAreRare(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	c := h.login(h.Node, "balcony").available()
	pings := func() (ids []string) {
		h.all[h.Node].Wait()
		c.Outbox.Flush()
		for _, m := range ping.FindAllStringSubmatch(c.Received(), -1) {
			ids = append(ids, m[1])
		}
		return ids
	}
	expect := func(want int, when string) {
		t.Helper()
		ids := pings()
		if len(ids) != want {
			t.Errorf("%d pings %s, want %d", len(ids), when, want)
		}
		for _, id := range ids {
			c.Send(`<iq type='error' to='capulet.lit' id='` + id + `'><error type='cancel'/></iq>`)
		}
	}
	h.pass(60)
	for range 28 {
		romeo.Send(text(juliet, "one"))
		expect(1, "behind a message")
	}
	romeo.Send(text(juliet, "two"))
	first := pings()
	romeo.Send(text(juliet, "three"))
	expect(0, "while another is on its way")
	c.Send(`<iq type='result' to='capulet.lit' id='` + first[0] + `'/>`)
	expect(1, "behind what has come meanwhile")
	for range 2 {
		romeo.Send(text(juliet, "four"))
		romeo.Send(text(juliet, "five"))
		expect(0, "when there have been many")
		h.pass(1)
		expect(0, "one second later")
		h.pass(1)
		expect(1, "two seconds later")
	}
	h.pass(1)
	h.expectLeft()
}

// A restart, here to another process: what a session's queue holds is not sent to it
// again, what it was not sent yet is.
func TestRestored(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	c := h.login(h.Node, "phone").manage().available()
	c.expect("one+")
	c.Session.Stream = &session.Stream{ID: "a"}
	snap := c.Save()
	h.Registry.Remove(c.Session)
	romeo.Send(text(juliet, "two"))

	kept, err := snap.Session(h.Other.Registry.NewRef())
	if err != nil {
		t.Fatal(err)
	}
	kept.Outbox = session.Restore(session.NewChunks(0), 1<<20, session.Management{
		Limit: 1 << 20, Resumable: true, Now: func() int64 { return 1 }, Asked: func() {},
	}, snap.Sent, snap.Acked, snap.Queue)
	h.Other.Registry.Add(kept)
	h.Other.Router.Fire(modules.Restored, kept)
	kept.Outbox.Attach(c.Client, nil)
	h.Other.Router.Fire(modules.Resumed, kept)
	kept.Outbox.Flush()
	c.Session, c.n = kept, h.Other
	c.expect("one+ two+")
	c.ack(2)
	h.pass(2)
	h.expectLeft()
}

// Rows that were sent before stream management began are proven by a ping, but only
// over the connection that it went over.
func TestBeforeManagement(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").available()
	phone.mute = true
	romeo.Send(text(juliet, "one"))
	phone.expect("one")
	phone.manage()
	phone.Outbox.Detach()
	phone.Outbox.Attach(phone.Client, nil)
	h.Router.Fire(modules.Resumed, phone.Session)
	phone.expect("one+")
	phone.Close()
	h.login(h.Node, "tablet").available().expect("one+")
}
