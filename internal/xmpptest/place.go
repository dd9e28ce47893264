package xmpptest

import (
	"strings"
	"testing"
)

// place is where a scenario runs.
type place interface {
	domain() string
	account(t testing.TB, account string)
	dial(t testing.TB, way Way) *Client
}

type here struct{ *Server }

func (h *here) domain() string                       { return Domain }
func (h *here) account(t testing.TB, account string) { h.Account(t, account) }
func (h *here) dial(t testing.TB, way Way) *Client   { return h.Dial(t, way) }

// elsewhere is another server.
type elsewhere struct {
	addr, host string
	made       map[string]bool
}

func (e *elsewhere) domain() string                     { return e.host }
func (e *elsewhere) dial(t testing.TB, way Way) *Client { return dial(t, way, e.addr, e.host) }

func (e *elsewhere) account(t testing.TB, account string) {
	if e.made[account] {
		return
	}
	e.made[account] = true
	c := dial(t, TCP, e.addr, e.host)
	c.Secure()
	name, _, _ := strings.Cut(account, "@")
	c.Send("<iq type='set' id='register'><query xmlns='jabber:iq:register'><username>" + name + "</username><password>" +
		Password + "</password></query></iq>")
	if answer := c.Next(); answer.Attr("type") != "result" {
		t.Fatalf("register %s: %s", account, answer)
	}
	c.w.conn().Close()
}
