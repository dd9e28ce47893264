package offline_test

import (
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
)

// Who takes what waits goes while another becomes available, and has been told so.
func TestLeftWhileOpening(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	first := h.login(h.Node, "first").manage().available()
	romeo.Send(text(juliet, "one"))
	second := h.login(h.Node, "second").manage()
	h.Node.Router.Fire(modules.Available, second.Session)
	first.Close()
	h.Node.Registry.SetPresence(second.Session, []byte("<presence/>"), 0)
	h.pass(5)
	second.expect("one+")
}

// What is on its way to somebody else is not what waits.
func TestOnItsWay(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone, tablet := h.login(h.Node, "phone"), h.login(h.Node, "tablet")
	done := make(chan struct{})
	h.archive.stamped = func(f *modules.Flight) {
		if f.Owner != jid.MustParse(juliet) {
			return
		}
		h.archive.stamped = nil
		go func() {
			defer close(done)
			tablet.available()
		}()
		select { // it waits for this message to be delivered, whoever is right
		case <-done:
			t.Error("it did not wait")
		case <-time.After(50 * time.Millisecond):
		}
	}
	romeo.Send(text(juliet+"/phone", "one"))
	<-done
	phone.expect("one")
	tablet.expect("")
}

// A row that is stored while what waits is being sent, and has not been delivered
// yet, is not what waits.
func TestOnItsWayMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	romeo := h.Login("romeo@capulet.lit/orchard")
	romeo.Send(text(juliet, "one"))
	phone, tablet := h.login(h.Node, "phone"), h.login(h.Node, "tablet")
	stored, deliver, sent := make(chan struct{}), make(chan struct{}), make(chan struct{})
	h.archive.stamped = func(f *modules.Flight) {
		if f.Owner == jid.MustParse(juliet) {
			close(stored)
			<-deliver
		}
	}
	h.looks = func(upTo int64) {
		if upTo != 0 {
			h.looks = nil
			go func() {
				defer close(sent)
				romeo.Send(text(juliet+"/phone", "two"))
			}()
			<-stored
		}
	}
	tablet.available()
	close(deliver)
	<-sent
	phone.expect("two")
	tablet.expect("one+")
}

// A session on another node gets what one here left behind, and nothing that it
// confirmed.
func TestOtherNodeGoesOn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	romeo := h.Login("romeo@capulet.lit/orchard")
	phone := h.login(h.Node, "phone").manage().available()
	tablet := h.login(h.Other, "tablet").manage().available()
	romeo.Send(text(juliet+"/phone", "one"), text(juliet+"/phone", "two"))
	phone.expect("one two")
	phone.ack(1)
	phone.Close()
	tablet.expect("two+")
}
