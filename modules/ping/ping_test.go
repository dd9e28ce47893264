package ping_test

import (
	"testing"
	"time"

	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/ping"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(ping.New(w.Wheel))
	tests := map[string]string{
		`<iq type='get' id='c2s1' to='capulet.lit'><ping xmlns='urn:xmpp:ping'/></iq>`:        `<iq type='result' id='c2s1' from='capulet.lit' to='juliet@capulet.lit/balcony'/>`,
		`<iq type='get' id='c2s2'><ping xmlns='urn:xmpp:ping'/></iq>`:                         `<iq type='result' id='c2s2' to='juliet@capulet.lit/balcony'/>`,
		`<iq type='get' id='c2s3' to='juliet@capulet.lit'><ping xmlns='urn:xmpp:ping'/></iq>`: `<iq type='result' id='c2s3' from='juliet@capulet.lit' to='juliet@capulet.lit/balcony'/>`,
		// Of another account nobody learns whether it exists (RFC 6121 §8.5.1).
		`<iq type='get' id='c2s4' to='romeo@capulet.lit'><ping xmlns='urn:xmpp:ping'/></iq>`: `<iq from='romeo@capulet.lit' to='juliet@capulet.lit/balcony' id='c2s4' type='error'><ping xmlns='urn:xmpp:ping'/>` +
			`<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
	}
	for xml, want := range tests {
		if got := w.IQ("juliet@capulet.lit/balcony", xml); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

const asked = `<iq type='get'><ping xmlns='urn:xmpp:ping'/></iq>`

func silentClient(t *testing.T) (*moduletest.World, *moduletest.Client) {
	w := moduletest.New(t)
	w.InitWith(ping.New(w.Wheel), map[string]any{"interval": "60s", "timeout": "10s"})
	c := w.Login("juliet@capulet.lit/balcony")
	w.Advance(time.Minute)
	if got := c.Received(); got != asked || w.Asked[0].Timeout != 10*time.Second {
		t.Fatalf("after a minute of silence: %q, %v", got, w.Asked)
	}
	return w, c
}

func TestSilentClientIsClosed(t *testing.T) {
	t.Parallel()
	w, c := silentClient(t)
	w.Advance(10 * time.Second)
	w.Answer("")
	if got := c.Received(); got != "[connection-timeout][end]" {
		t.Errorf("received %q", got)
	}
	w.Advance(10 * time.Minute)
	if len(w.Asked) != 0 {
		t.Error("a closed session is asked")
	}
}

func TestAnswerKeepsAlive(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`<iq type='result' id='1'/>`, `<iq type='error' id='1'/>`} {
		w, c := silentClient(t)
		w.Advance(3 * time.Second)
		c.Touch(w.Now().Unix())
		w.Answer(answer)
		w.Advance(59 * time.Second)
		if got := c.Received(); got != "" {
			t.Errorf("received %q before the next minute is over", got)
		}
		w.Advance(time.Second)
		if got := c.Received(); got != asked {
			t.Errorf("a minute after the answer: %q", got)
		}
	}
}

// A client that does not answer but sends anything else is alive.
func TestOtherStanzasKeepAlive(t *testing.T) {
	t.Parallel()
	w, c := silentClient(t)
	c.Touch(w.Now().Unix() + 5)
	w.Advance(10 * time.Second)
	w.Answer("")
	if got := c.Received(); got != "" {
		t.Errorf("received %q", got)
	}
}

// The table of questions may be full: then nobody is closed.
func TestUnaskedIsAlive(t *testing.T) {
	t.Parallel()
	w, c := silentClient(t)
	w.Answer("") // at once
	if got := c.Received(); got != "" {
		t.Errorf("received %q", got)
	}
	w.Advance(11 * time.Second)
	if got := c.Received(); got != asked {
		t.Errorf("not asked again: %q", got)
	}
}

func TestOff(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.InitWith(ping.New(w.Wheel), map[string]any{"interval": "0s"})
	w.Login("juliet@capulet.lit/balcony")
	w.Advance(24 * time.Hour)
	if len(w.Asked) != 0 {
		t.Error("asked")
	}
}
