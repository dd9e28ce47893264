package c2s

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"strings"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

const nsBind2 = "urn:xmpp:bind:0"

// maxTag is how long a tag may be that becomes part of the resource, in bytes.
const maxTag = 128

// bind2 makes the session together with the login (XEP-0386). success makes the
// answer out of the full address and <bound/>. Offline messages stay: whoever
// reads no archive would lose them.
func (c *conn) bind2(w *wishes, success func(full jid.JID, bound []byte) []byte) bool {
	full, err := resource(c.user, w.bind.Child(nsBind2, "tag").Text(), w.agent.ID)
	if err != nil {
		return c.quit(&stanza.StreamError{Condition: stanza.StreamInternalServerError}) // its characters are ours
	}
	return c.openSession(full, session.Info{Agent: w.agent.ID, Bind2: true}, func(s *session.Session) []byte {
		c.out.Append(success(full, c.bound2(s, w.bind)))
		return c.loggedInFeatures(true)
	})
}

// resource is the full address of a client (XEP-0386 §3.2.1): the tag that it
// has chosen, and an identifier that stays the same for one installation but
// does not tell which it is. A tag that no resource may hold is left out.
func resource(user jid.JID, tag, agent string) (jid.JID, error) {
	id := randomResource()
	if agent != "" {
		sum := sha256.Sum256([]byte("resource\x00" + user.String() + "\x00" + tag + "\x00" + agent))
		id = strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
	}
	if tag != "" && len(tag) <= maxTag {
		if full, err := user.WithResource(tag + "/" + id); err == nil {
			return full, nil
		}
	}
	return user.WithResource(id)
}

// bound2 does what the elements in <bind/> ask for and returns <bound/>.
func (c *conn) bound2(s *session.Session, bind stanza.Elem) []byte {
	b := stanza.NewBuilder(nil).Open("bound", nsBind2)
	f := &modules.Flight{
		Ctx: context.Background(), From: s.JID, Owner: s.JID.Bare(), Session: s, Arrived: time.Now(),
	}
	tables := c.srv.Router.Tables(c.host.String())
	tables.Bound(f, b)
	all := tables.Inline()
	managed := false
	for e := range bind.Children() {
		if e.Is(nsSM, "enable") {
			if !managed {
				managed = true
				b.Raw(c.enable(s, e))
			}
			continue
		}
		for i := range all {
			if e.Is(all[i].NS, all[i].Name) {
				all[i].Fn(f, e, b)
			}
		}
	}
	return b.Bytes()
}
