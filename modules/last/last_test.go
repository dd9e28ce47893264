package last_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/last"
	"github.com/xmppd/xmppd/storage"
)

type subscribers map[string]storage.Subscription

func (s subscribers) Subscription(_ context.Context, owner, contact jid.JID) (storage.Subscription, error) {
	if owner.String() != "juliet@capulet.lit" {
		return storage.SubNone, nil
	}
	return s[contact.String()], nil
}

func world(t *testing.T) *moduletest.World {
	w := moduletest.New(t)
	w.Init(last.New(subscribers{
		"romeo@capulet.lit": storage.SubBoth, "paris@capulet.lit": storage.SubFrom, "nurse@capulet.lit": storage.SubTo,
	}, w.Now()))
	return w
}

const (
	query     = `<query xmlns='jabber:iq:last'/>`
	forbidden = query + `<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
)

// ask returns what stands inside the answer.
func ask(w *moduletest.World, from, to string) string {
	return w.Payload(w.IQ(from, `<iq type='get' id='last1' to='`+to+`'>`+query+`</iq>`))
}

func TestUptime(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Advance(90 * time.Second)
	got := w.IQ("romeo@capulet.lit/orchard", `<iq type='get' id='last3' to='capulet.lit'>`+query+`</iq>`)
	want := `<iq type='result' id='last3' from='capulet.lit' to='romeo@capulet.lit/orchard'><query xmlns='jabber:iq:last' seconds='90'/></iq>`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAccount(t *testing.T) {
	t.Parallel()
	w := world(t)
	const juliet, romeo = "juliet@capulet.lit", "romeo@capulet.lit/orchard"

	if got := ask(w, romeo, juliet); !strings.Contains(got, "service-unavailable") {
		t.Errorf("never logged in: %s", got)
	}
	balcony, chamber := w.Login(juliet+"/balcony"), w.Login(juliet+"/chamber")
	if got := ask(w, romeo, juliet); got != `<query xmlns='jabber:iq:last' seconds='0'/>` {
		t.Errorf("connected: %s", got)
	}
	balcony.Presence(`<presence/>`, 0)
	balcony.Presence(`<presence type='unavailable'><status>Heading &lt;Home></status></presence>`, 0)
	chamber.Close()
	w.Advance(time.Minute)
	balcony.Close()
	w.Advance(903 * time.Second)

	const known = `<query xmlns='jabber:iq:last' seconds='903'>Heading &lt;Home&gt;</query>`
	for asker, want := range map[string]string{
		romeo: known, "paris@capulet.lit/r": known, juliet + "/later": known,
		"nurse@capulet.lit/r": forbidden, "tybalt@capulet.lit/r": forbidden,
	} {
		if got := ask(w, asker, juliet); got != want {
			t.Errorf("%s: got  %s\nwant %s", asker, got, want)
		}
	}
	if got := ask(w, romeo, "mercutio@capulet.lit"); got != forbidden {
		t.Errorf("no such account: %s", got)
	}
}

// A status belongs to the departure it was said at, not to a lost connection later.
func TestStatusOfEarlierPresence(t *testing.T) {
	t.Parallel()
	w := world(t)
	c := w.Login("juliet@capulet.lit/balcony")
	c.Presence(`<presence type='unavailable'><status>Heading Home</status></presence>`, 0)
	c.Presence(`<presence/>`, 0)
	c.Close()
	if got := ask(w, "romeo@capulet.lit/r", "juliet@capulet.lit"); got != `<query xmlns='jabber:iq:last' seconds='0'/>` {
		t.Errorf("got %s", got)
	}
}

func TestClientIsProtected(t *testing.T) {
	t.Parallel()
	w := world(t)
	juliet := w.Login("juliet@capulet.lit/balcony")
	juliet.Directed(jid.MustParse("friar@capulet.lit/cell"), true, 10)
	tests := map[string]bool{
		"romeo@capulet.lit/r": true, "juliet@capulet.lit/chamber": true, "friar@capulet.lit/cell": true,
		"nurse@capulet.lit/r": false, "tybalt@capulet.lit/r": false,
	}
	for from, allowed := range tests {
		_, err := w.Pass(modules.Received, modules.Check, from, `<iq type='get' id='1' to='juliet@capulet.lit/balcony'>`+query+`</iq>`, nil)
		if (err == nil) != allowed {
			t.Errorf("%s: %v", from, err)
		}
	}
	if _, err := w.Pass(modules.Received, modules.Check, "tybalt@capulet.lit/r", `<iq type='get' id='1' to='juliet@capulet.lit/balcony'><ping xmlns='urn:xmpp:ping'/></iq>`, nil); err != nil {
		t.Errorf("another question: %v", err)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	w := world(t)
	expect := func(want string, words ...string) {
		t.Helper()
		if got, err := w.Call(words...); got != want || err != nil {
			t.Errorf("%v: got %q, %v, want %q", words, got, err, want)
		}
	}
	expect("2026-07-14T23:08:25Z\tNOT FOUND", "get_last", "juliet", "capulet.lit")
	expect("", "set_last", "juliet", "capulet.lit", "1500045311", "Go Sleeping")
	expect("2017-07-14T15:15:11Z\tGo Sleeping", "get_last", "Juliet", "CAPULET.lit")
	c := w.Login("juliet@capulet.lit/balcony")
	expect("2026-07-14T23:08:25Z\tONLINE", "get_last", "juliet", "capulet.lit")
	c.Close()
	expect("2026-07-14T23:08:25Z\t", "get_last", "juliet", "capulet.lit")
	for _, words := range [][]string{{"get_last", "juliet", "capullet.lit"}, {"set_last", "juliet", "capullet.lit", "1", "x"}} {
		if _, err := w.Call(words...); err == nil || err.Error() != "unknown_host: Unknown virtual host" {
			t.Errorf("%v: %v", words, err)
		}
	}
}
