package offline_test

import (
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
)

// Who reads the archive, or is expected to, is sent later what his pages did not
// hold; who does not, at once.
func TestReader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"), text(juliet, "two"), text(juliet, "three"))
	c := h.login(h.Node, "balcony").manage()
	m := h.all[h.Node]
	m.Queried(c.Session)
	c.available()
	c.expect("")
	romeo.Send(text(juliet, "four")) // comes at once
	c.expect("four")
	h.pass(9)
	m.Queried(c.Session)
	c.Outbox.AppendRow([]byte("<message><body>page</body></message>"), 2)
	h.pass(9)
	c.expect("page")
	h.pass(1)
	c.expect("one+ three+")
	c.ack(4)
	h.pass(2)
	h.expectLeft()
	h.pass(20)
	c.expect("")
}

// Bind 2 lets expect a reader, who has some seconds to begin.
func TestBind2(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	c := h.login(h.Node, "balcony")
	c.Close()
	c.Session = session.New(h.Registry.NewRef(), c.JID, session.Info{Bind2: true}, session.NewOutbox(c.Client, session.NewChunks(0), 1<<20))
	h.Registry.Add(c.Session)
	h.Router.Fire(modules.Bound, c.Session)
	c.available()
	h.pass(9)
	c.expect("")
	h.pass(1)
	c.expect("one+")
}

// A reader and a client that never reads, in either order.
func TestBothKinds(t *testing.T) {
	t.Parallel()
	t.Run("reader first", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"), text(juliet, "two"))
		reader := h.reader()
		reader.Outbox.AppendRow([]byte("<message><body>page</body></message>"), 2)
		h.pass(10)
		reader.expect("page one+")
		plain := h.login(h.Node, "plain").available()
		plain.expect("")
		romeo.Send(text(juliet, "three"))
		reader.expect("three")
		plain.expect("three")
		reader.ack(1) // the page
		reader.Close()
		plain.expect("one+")
	})
	t.Run("while the reader reads", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"), text(juliet, "two"))
		reader := h.reader()
		reader.Outbox.AppendRow([]byte("<message><body>page</body></message>"), 2)
		reader.expect("page")
		plain := h.login(h.Node, "plain").available()
		plain.expect("one+")
		h.pass(20)
		reader.expect("")
		reader.ack(1)
		reader.Close()
		plain.expect("")
	})
	t.Run("plain first", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"), text(juliet, "two"))
		plain := h.login(h.Node, "plain").available()
		plain.expect("one+ two+")
		reader := h.reader()
		h.pass(20)
		reader.expect("")
		plain.expect("")
	})
	t.Run("the reader leaves early", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		romeo.Send(text(juliet, "one"))
		reader := h.reader()
		plain := h.login(h.Node, "plain").available()
		plain.mute = true // confirms nothing
		plain.expect("one+")
		plain.Close()
		reader.expect("")
		h.pass(20)
		reader.expect("one+")
	})
}

// A message that nobody was there for when it came, and a reader when it was
// stored: it comes at once, what is older waits for the reader.
func TestReaderAndNewMessage(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	c := h.login(h.Node, "balcony").manage()
	h.all[h.Node].Queried(c.Session)
	h.archive.planned = func(f *modules.Flight) {
		if f.Owner == jid.MustParse(juliet) {
			h.archive.planned = nil
			c.available()
		}
	}
	romeo.Send(text(juliet, "two"))
	c.expect("two+")
	h.pass(10)
	c.expect("one+")
}
