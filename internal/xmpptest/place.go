package xmpptest

import (
	"strings"
	"testing"

	"github.com/xmppd/xmppd/jid"
)

// place is where a scenario runs.
type place interface {
	domain() string
	account(t testing.TB, account string)
	login(t testing.TB, way Way, full, lang string) *Client
}

type here struct{ *Server }

func (h *here) domain() string                       { return Domain }
func (h *here) account(t testing.TB, account string) { h.Account(t, account) }

func (h *here) login(t testing.TB, way Way, full, lang string) *Client {
	j := jid.MustParse(full)
	c := h.Dial(t, way)
	c.log(j, lang)
	c.gone = h.ended(c.JID)
	return c
}

func (c *Client) log(j jid.JID, lang string) {
	c.domain, c.lang = j.Domain(), lang
	c.Secure()
	c.Authenticate(j.Local(), Password)
	c.Bind(j.Resource())
}

// elsewhere is another server.
type elsewhere struct {
	addr, host string
	made       map[string]bool
}

func (e *elsewhere) domain() string { return e.host }

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

func (e *elsewhere) login(t testing.TB, way Way, full, lang string) *Client {
	c := dial(t, way, e.addr, e.host)
	c.log(jid.MustParse(full), lang)
	return c
}
