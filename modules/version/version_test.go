package version_test

import (
	"runtime"
	"testing"

	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/modules/version"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	const ask = `<iq type='get' id='v1' to='capulet.lit'><query xmlns='jabber:iq:version'/></iq>`
	const head = `<iq type='result' id='v1' from='capulet.lit' to='juliet@capulet.lit/balcony'>` +
		`<query xmlns='jabber:iq:version'><name>xmppd</name><version>1.2&lt;3</version>`
	tests := []struct {
		name    string
		options map[string]any
		want    string
	}{
		{"default", nil, head + `</query></iq>`},
		{"os", map[string]any{"show_os": true}, head + `<os>` + runtime.GOOS + `</os></query></iq>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := moduletest.New(t)
			w.InitWith(version.New("1.2<3"), tt.options)
			if got := w.IQ("juliet@capulet.lit/balcony", ask); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
