package offline_test

import (
	"slices"
	"testing"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// What came while the client was there comes once, with and without stream
// management, also when it logs in again before anything has been written.
func TestLiveIsNotRepeated(t *testing.T) {
	t.Parallel()
	for _, managed := range []bool{false, true} {
		h := newHouse(t, 1)
		romeo := h.Login("romeo@capulet.lit/orchard")
		c := h.login(h.Node, "balcony")
		if managed {
			c.manage()
		}
		c.available()
		romeo.Send(text(juliet, "one"))
		c.expect("one")
		if managed {
			c.ack(1)
		}
		h.expectLeft(1) // as far as has been written
		c.Close()
		c = h.login(h.Node, "balcony").available()
		c.expect("")
		c.Close()
		h.pass(2)
		h.expectLeft()
		h.login(h.Node, "balcony").available().expect("")
	}
}

// What was not confirmed comes again, with the same id.
func TestSameIDWhenItComesTwice(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	c := h.login(h.Node, "balcony").available()
	c.mute = true
	romeo.Send(text(juliet, "one"))
	_, first := c.read()
	c.Close()
	got, second := h.login(h.Node, "balcony").available().read()
	if got != "one+" || !slices.Equal(first, second) || len(first) != 1 || first[0] == "" {
		t.Errorf("%q with %v, after %v", got, second, first)
	}
}

// A message that nobody has got waits for the first, whatever became of those who
// were sent it.
func TestUnconfirmedGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").manage().available()
	romeo.Send(text(juliet+"/phone", "one"))
	phone.expect("one")
	tablet := h.login(h.Node, "tablet").available()
	laptop := h.login(h.Node, "laptop").available()
	romeo.Send(text(juliet+"/phone", "two"), text(juliet, "three"))
	tablet.expect("three")
	laptop.expect("three")
	phone.Close()
	tablet.expect("one+ two+")
	laptop.expect("")
	h.pass(2)
	tablet.expect("")
	h.pass(2)
	h.expectLeft()
}

// Rows that a session holds are not sent to another one, nor those of a page that
// is on its way.
func TestHeldStays(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").manage() // not available
	romeo.Send(text(juliet+"/phone", "one"))
	phone.expect("one")
	tablet := h.login(h.Node, "tablet").available()
	tablet.expect("")
	phone.ack(1)
	phone.Close()
	tablet.expect("")
}

// Copies of messages count for who gets them.
func TestCarbonsConfirm(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone, tablet := h.login(h.Node, "phone").manage(), h.login(h.Node, "tablet").manage()
	h.Registry.SetCarbons(tablet.Session, true)
	romeo.Send(text(juliet+"/phone", "one"))
	phone.expect("one")
	tablet.expect("one")
	tablet.ack(1)
	phone.Close()
	h.login(h.Node, "laptop").available().expect("")
	h.pass(2)
	h.expectLeft()
}

// What cannot be written is kept, and counts meanwhile; a planned stop writes it.
func TestConfirmationsSurvive(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	c := h.login(h.Node, "balcony").manage().available()
	romeo.Send(text(juliet, "one"))
	c.expect("one")
	c.ack(1)
	c.Close()
	h.expectLeft(1)
	if err := h.Tables("capulet.lit").Stopping(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.expectLeft()
}

// What has been retracted before it was delivered is nothing to be read.
func TestTombstone(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"), text(juliet, "two"))
	run := storage.Run{Writes: []storage.Write{&storage.Retraction{
		Owner: jid.MustParse(juliet), Chat: jid.MustParse("romeo@capulet.lit"), ID: "one", Element: []byte("<body>nothing</body>"),
	}}}
	h.DB.Join(&run)
	if run.Wait(); run.Errs[0] != nil {
		t.Fatal(run.Errs[0])
	}
	h.login(h.Node, "balcony").available().expect("two+")
	h.pass(2)
	h.expectLeft()
}
