package entitytime_test

import (
	"testing"

	"github.com/xmppd/xmppd/modules/entitytime"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
)

func TestTime(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(entitytime.New())
	const answer = `<time xmlns='urn:xmpp:time'><tzo>+00:00</tzo><utc>2026-07-14T23:08:25Z</utc></time></iq>`
	tests := map[string]string{
		`<iq type='get' id='t1' to='capulet.lit'><time xmlns='urn:xmpp:time'/></iq>`: `<iq type='result' id='t1' from='capulet.lit' to='juliet@capulet.lit/balcony'>` + answer,
		`<iq type='get' id='t2'><time xmlns='urn:xmpp:time'/></iq>`:                  `<iq type='result' id='t2' to='juliet@capulet.lit/balcony'>` + answer,
	}
	for xml, want := range tests {
		if got := w.IQ("juliet@capulet.lit/balcony", xml); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
