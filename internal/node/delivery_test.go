package node_test

import (
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// deliveries is Table 1 of RFC 6121 §8.5.4 with the choices of this server, and
// with what the text of §8.5 says of type error. E: an error for the sender, S:
// silence, O: stored, D: to the session of the full JID, A: to all sessions of
// non-negative priority.
//
// Of the options that the RFC leaves, this server bounces rather than drops.
// It stores what people write, and delivers chat to all non-negative sessions.
var deliveries = []struct {
	recipient  string
	priorities []string // of its sessions; "-": connected, but without presence
	address    string
	fate       map[string]byte // by type
}{
	{"nobody", nil, "", fates("EEESS", 'E')},
	{"nobody", nil, "/orchard", fates("EEESS", 'E')},
	{"away", nil, "", fates("OOESS", 'O')},
	{"away", nil, "/orchard", fates("EOESS", 'E')},
	{"connected", []string{"-"}, "", fates("OOESS", 'O')},
	{"connected", []string{"-"}, "/0", fates("DDDDD", 'D')},
	{"connected", []string{"-"}, "/orchard", fates("EOESS", 'E')},
	{"negative", []string{"-1"}, "", fates("OOESS", 'O')},
	{"negative", []string{"-1"}, "/0", fates("DDDDD", 'D')},
	{"negative", []string{"-1"}, "/orchard", fates("EOESS", 'E')},
	{"one", []string{"0"}, "", fates("AAEAS", 'A')},
	{"one", []string{"0"}, "/0", fates("DDDDD", 'D')},
	{"one", []string{"0"}, "/orchard", fates("EAESS", 'E')},
	{"several", []string{"1", "-5", "127", "0"}, "", fates("AAEAS", 'A')},
	{"several", []string{"1", "-5", "127", "0"}, "/1", fates("DDDDD", 'D')},
	{"several", []string{"1", "-5", "127", "0"}, "/0", fates("DDDDD", 'D')},
	{"several", []string{"1", "-5", "127", "0"}, "/orchard", fates("EAESS", 'E')},
}

// fates takes those of normal, chat, groupchat, headline and error. An unknown
// type counts as normal (§5.2.2).
func fates(s string, none byte) map[string]byte {
	return map[string]byte{"normal": s[0], "chat": s[1], "groupchat": s[2], "headline": s[3], "error": s[4], "": none, "quatsch": none}
}

func TestDeliveryRules(t *testing.T) {
	t.Parallel()
	for _, way := range []xmpptest.Way{xmpptest.TCP, xmpptest.WebSocket} {
		t.Run(string(way), func(t *testing.T) {
			t.Parallel()
			s := xmpptest.Start(t, xmpptest.Options{})
			romeo := s.Login(t, way, "romeo@localhost/home")
			sessions := make(map[string][]*xmpptest.Client)
			n := 0
			for _, tt := range deliveries {
				if _, ok := sessions[tt.recipient]; !ok {
					sessions[tt.recipient] = attend(t, s, way, tt.recipient, tt.priorities)
				}
				for typ, fate := range tt.fate {
					n++
					deliver(t, romeo, sessions[tt.recipient], tt.priorities, tt.recipient+"@localhost"+tt.address, typ, fmt.Sprint("m", n), fate)
				}
			}
		})
	}
}

func attend(t *testing.T, s *xmpptest.Server, way xmpptest.Way, account string, priorities []string) []*xmpptest.Client {
	if account != "nobody" {
		s.Account(t, account)
	}
	var out []*xmpptest.Client
	for i, p := range priorities {
		c := s.Login(t, way, fmt.Sprintf("%s@localhost/%d", account, i))
		if p != "-" {
			c.Send("<presence><priority>" + p + "</priority></presence>")
		}
		c.Sync()
		out = append(out, c)
	}
	for _, c := range out {
		c.Sync()
		c.Forget()
	}
	return out
}

func deliver(t *testing.T, romeo *xmpptest.Client, sessions []*xmpptest.Client, priorities []string, to, typ, id string, fate byte) {
	t.Helper()
	attr := ""
	if typ != "" {
		attr = " type='" + typ + "'"
	}
	romeo.Send("<message to='" + to + "' id='" + id + "'" + attr + "><body>" + id + "</body></message>")
	romeo.Sync()
	got := ""
	if e := romeo.Waiting(); e != nil {
		got = "E"
		romeo.Expect("<message from='" + to + "' to='romeo@localhost/home' id='" + id + "' type='error'><error type='cancel'>" +
			"<service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>")
	}
	all, exact := "", ""
	for i, c := range sessions {
		c.Sync()
		if e := c.Waiting(); e != nil {
			got += fmt.Sprint(i)
			c.Next()
			// RFC 6121 §8.5.2.1.1: 'to' is not rewritten.
			if e.Attr("id") != id || e.Attr("to") != to || e.Attr("from") != "romeo@localhost/home" || e.Attr("type") != typ {
				t.Errorf("type %q to %s: %s received\n%s", typ, to, c, e)
			}
		}
		if p := priorities[i]; p[0] != '-' {
			all += fmt.Sprint(i)
		}
		if c.JID.String() == to {
			exact = fmt.Sprint(i)
		}
	}
	want := map[byte]string{'E': "E", 'S': "", 'O': "", 'D': exact, 'A': all}[fate]
	if got != want {
		t.Errorf("type %q to %s: got %q, want %q (%c)", typ, to, got, want, fate)
	}
}
