package c2s

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

const (
	nsFAST       = "urn:xmpp:fast:0"
	nsUpgrade    = "urn:xmpp:sasl:upgrade:0"
	nsBinding    = "urn:xmpp:sasl-cb:0"
	nsPipelining = "urn:xmpp:iap:0"
)

// wishes are what a client asks for beside the login (XEP-0388 §2.3). They
// outlive the burst: st is a copy.
type wishes struct {
	st           *stanza.Stanza
	agent        auth.Agent
	resume, bind stanza.Elem    // not OK: not asked for
	token        string         // the mechanism for which a token is asked for (XEP-0484 §3.2)
	use          *auth.TokenUse // nil: the client does not log in with a token
	upgrades     []string       // tasks (XEP-0480 §2.2)
	version      string         // of the features that the client has seen (XEP-0509); empty: not told
	task         task           // that <continue/> has offered
}

// parseWishes reads <authenticate/>, which is not kept.
func parseWishes(st *stanza.Stanza) (*wishes, *auth.Failure) {
	w := &wishes{st: st.Clone()}
	root := w.st.Root()
	for e := range root.Children() {
		var f *auth.Failure
		switch ns, name := string(e.NS()), string(e.Name()); {
		case ns == nsSASL2 && name == "user-agent":
			f = w.userAgent(e)
		case ns == nsFAST && name == "fast":
			f = w.useToken(e)
		case ns == nsFAST && name == "request-token":
			w.token, _ = e.Attr("mechanism")
		case ns == nsUpgrade && name == "upgrade":
			w.upgrades = append(w.upgrades, strings.TrimSpace(e.Text()))
		case ns == nsPipelining && name == "config-version":
			w.version, _ = e.Attr("value")
		}
		if f != nil {
			return nil, f
		}
	}
	w.resume, w.bind = root.Child(nsSM, "resume"), root.Child(nsBind2, "bind")
	if w.use != nil {
		w.use.Agent = w.agent.ID
	}
	return w, nil
}

func malformed(text string) *auth.Failure {
	return &auth.Failure{Condition: auth.MalformedRequest, Text: text}
}

func (w *wishes) userAgent(e stanza.Elem) *auth.Failure {
	if id, ok := e.Attr("id"); ok {
		if w.agent.ID, ok = auth.AgentID(id); !ok {
			return malformed("the id of the user agent is no UUID") // XEP-0388 §2.3: MUST
		}
	}
	w.agent.Software = e.Child(nsSASL2, "software").Text()
	w.agent.Device = e.Child(nsSASL2, "device").Text()
	return nil
}

// useToken reads <fast/>, whose attributes are an xs:int and an xs:boolean.
func (w *wishes) useToken(e stanza.Elem) *auth.Failure {
	w.use = &auth.TokenUse{Count: -1}
	if text, ok := e.Attr("count"); ok {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil || n < 0 {
			return malformed("invalid count")
		}
		w.use.Count = n
	}
	if text, ok := e.Attr("invalidate"); ok {
		switch strings.TrimSpace(text) {
		case "true", "1":
			w.use.Invalidate = true
		case "false", "0":
		default:
			return malformed("invalid boolean")
		}
	}
	return nil
}

// begin starts the exchange that <authenticate/> asks for.
func (c *conn) begin(a action) bool {
	w, f := parseWishes(a.st)
	if f != nil {
		return c.fail(f, 0)
	}
	if w.version != "" && w.version != c.version {
		return c.excuse(&auth.Failure{Condition: auth.Aborted, Text: "the features have changed"},
			"<config-version-mismatch xmlns='"+nsPipelining+"'/>") // XEP-0509 §2.2
	}
	x, err := c.start(a.mechanism, w.use)
	if err != nil {
		return c.refuse(err, 0, w.use != nil)
	}
	c.exchange, c.wishes = x, w
	return c.step(a)
}

// start begins a login by password or, with use, by token.
func (c *conn) start(mechanism string, use *auth.TokenUse) (*auth.Exchange, error) {
	if use != nil {
		return c.srv.Auth.StartToken(c.authConn(), mechanism, *use)
	}
	return c.srv.Auth.Start(c.authConn(), mechanism)
}

// proven goes on behind a mechanism that has succeeded; additional is its last
// word, nil for none.
func (c *conn) proven(additional []byte) bool {
	if from, err := jid.Parse(c.t.Header().From); err == nil && from.Local() != "" && from.Bare() != c.exchange.User() {
		// XEP-0388 §2.3, §4.4
		return c.fail(&auth.Failure{Condition: auth.InvalidAuthzid, Text: "the stream is from another account"}, 0)
	}
	return c.nextTask(additional)
}

// welcome answers with <success/> and does what the client has asked for
// (XEP-0388 §2.6.1): first to resume, else to bind (XEP-0386 §3.2).
func (c *conn) welcome(additional []byte) bool {
	w := c.wishes
	c.wishes = nil
	c.enter()
	c.m.state = afterLogin
	token := c.issueToken(w)
	var failed []byte
	if w.resume.OK() {
		answer, ok, bad := c.resume(w.resume)
		switch {
		case bad != nil:
			return c.quit(bad)
		case ok:
			// XEP-0198 §9.2: no features follow.
			return c.carryOn(success(additional, c.session.JID, answer, token))
		}
		failed = answer
	}
	if w.bind.OK() {
		return c.bind2(w, func(full jid.JID, bound []byte) []byte { return success(additional, full, failed, bound, token) })
	}
	c.out.Append(success(additional, c.user, failed, token))
	c.out.Append(c.features())
	return true
}

// success is <success/> with the answers to what was asked for inline.
func success(additional []byte, as jid.JID, answers ...[]byte) []byte {
	b := stanza.NewBuilder(nil).Open("success", nsSASL2)
	if additional != nil {
		b.Text("additional-data", base64.StdEncoding.EncodeToString(additional))
	}
	b.Text("authorization-identifier", as.String())
	for _, xml := range answers {
		b.Raw(xml)
	}
	return b.Bytes()
}

// issueToken makes the token that the client has asked for, or that has to replace
// the one it used (XEP-0484 §3.3, §3.5); nil for none.
func (c *conn) issueToken(w *wishes) []byte {
	if w.token == "" && !c.login.TokenDue() {
		return nil
	}
	t, err := c.srv.Auth.IssueToken(context.Background(), c.login, w.agent, w.token)
	if err != nil {
		_, client := errors.AsType[*auth.Failure](err)
		if !client && !errors.Is(err, auth.ErrMechanism) && !errors.Is(err, storage.ErrNotFound) {
			c.srv.Log.Error("token not issued", "account", c.user.String(), "error", err)
		}
		return nil // the login is good without one
	}
	return stanza.NewBuilder(nil).Open("token", nsFAST).
		Attr("expiry", t.Expires.UTC().Format("2006-01-02T15:04:05Z")).Attr("token", t.Secret).Bytes()
}
