package stanza_test

import (
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

var capulet = jid.MustParse("capulet.lit")

func TestAppendDelay(t *testing.T) {
	t.Parallel()
	at := time.Date(2002, 9, 11, 1, 8, 25, 7_999_999, time.FixedZone("", 2*60*60))
	got := string(stanza.AppendDelay([]byte("<x/>"), capulet, at))
	want := `<x/><delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='2002-09-10T23:08:25.007Z'/>`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestIsDelay(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		`<delay xmlns='urn:xmpp:delay' from='capulet.lit' stamp='x'/>`:        true,
		`<delay xmlns='urn:xmpp:delay' from='CAPULET.lit'/>`:                  true,
		`<delay xmlns='urn:xmpp:delay' from='juliet@capulet.lit' stamp='x'/>`: false,
		`<delay xmlns='urn:xmpp:delay' from='rooms.capulet.lit' stamp='x'/>`:  false,
		`<delay xmlns='urn:xmpp:delay' stamp='x'/>`:                           false,
		`<delay xmlns='other' from='capulet.lit'/>`:                           false,
	}
	for xml, want := range tests {
		var st stanza.Stanza
		if err := st.Parse([]byte(`<message>`+xml+`</message>`), stanza.Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := stanza.IsDelay(st.Root().First(), capulet); got != want {
			t.Errorf("%s: %v", xml, got)
		}
	}
}
