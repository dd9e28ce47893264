package router

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/session"
)

// Who asked a session that ends without an answer is told so: that resource, and
// nobody if an account or the server has asked.
func TestUnansweredRequests(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{
		"romeo@localhost/a": "a",
		"romeo@localhost/b": "b",
		"romeo@localhost/c": "",
		"romeo@localhost":   "",
		"localhost":         "",
		"localhost/a":       "",
		"@":                 "",
	} {
		f := newFixture(t)
		asked, own := f.bind("juliet@localhost/phone", 0)
		_, a := f.bind("romeo@localhost/a", 0)
		_, b := f.bind("romeo@localhost/b", 0)
		f.r.Unacked(asked, []session.Pending{{XML: "<iq type='get' id='1' from='" + from + "' to='juliet@localhost/phone'><q xmlns='x'/></iq>"}})
		got := ""
		for name, s := range map[string]*sink{"a": a, "b": b, "juliet": own} {
			if text := string(s.got); text != "" {
				got += name
				if !strings.Contains(text, "type='error'") || !strings.Contains(text, "id='1'") || !strings.Contains(text, "<service-unavailable") {
					t.Errorf("%s got %s", name, text)
				}
			}
		}
		if got != want {
			t.Errorf("asked by %s: told %q, want %q", from, got, want)
		}
	}
}
