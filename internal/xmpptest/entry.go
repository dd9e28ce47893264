package xmpptest

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/jid"
)

// entry is how a client of a scenario connects or resumes.
type entry struct {
	way       Way
	by        string // "", "sasl2" or "fast"
	lang      string
	manage    string // "", "stream management" (can be resumed) or "acknowledgements"
	carbons   bool
	inactive  bool
	mechanism string
	binding   string
	agent     string
	token     string // mechanism
}

// entry understands what follows "by", "over" and "with".
func (r *run) entry(by, way, with string) entry {
	en := entry{way: r.way, by: by, lang: "en"}
	if way != "" {
		en.way = Way(way)
	}
	for item := range strings.SplitSeq(strings.ReplaceAll(with, " and ", ","), ",") {
		item = strings.TrimSpace(item)
		name, value, _ := strings.Cut(item, " ")
		switch {
		case item == "stream management", item == "acknowledgements":
			en.manage = item
		case item == "carbons":
			en.carbons = true
		case item == "inactivity":
			en.inactive = true
		case name == "xml:lang":
			en.lang = value
		case name == "mechanism":
			en.mechanism = value
		case name == "binding":
			en.binding = value
		case name == "agent":
			en.agent = value
		case name == "token":
			en.token = value
		case item != "":
			r.Fatalf("with what? %q", item)
		}
	}
	return en
}

// token is what FAST needs to know.
type token struct{ agent, mechanism, secret string }

// enter logs a client in. It resumes the stream of another one, if that is given,
// and returns the answer; without <resumed/> it binds a resource.
func (r *run) enter(name string, en entry, resume *Client) (c *Client, answer *Element) {
	j := jid.MustParse(r.there.Replace(full(name)))
	c = r.place.dial(r, en.way)
	c.domain, c.lang = j.Domain(), en.lang
	if en.by != "" {
		return c, r.enter2(c, name, j, en, resume)
	}
	c.Secure()
	if en.mechanism == "" {
		c.Authenticate(j.Local(), Password)
	} else if _, err := c.SASL(Request{User: j.Local(), Mechanism: en.mechanism, Binding: en.binding}); err != nil {
		r.Fatalf("log in as %s: %v", j.Local(), err)
	} else {
		c.Open()
	}
	if resume != nil {
		if answer = c.TryResume(resume); answer.Name == "resumed" {
			return c, answer
		}
	}
	c.Bind(j.Resource())
	if en.manage != "" {
		c.EnableSM(en.manage == "stream management")
		r.vars["stream"] = c.StreamID()
	}
	if en.carbons {
		c.Send("<iq type='set' id='carbons'><enable xmlns='" + nsCarbons + "'/></iq>")
		if e := c.Next(); e.Attr("type") != "result" || e.Attr("id") != "carbons" {
			r.Fatalf("%s has no carbons:\n%s", name, e)
		}
	}
	return c, answer
}

// enter2 is enter by SASL2. The resource is the server's choice: scenarios name
// it as if it were the one of the client's name.
func (r *run) enter2(c *Client, name string, j jid.JID, en entry, resume *Client) *Element {
	c.from = j.Bare().String()
	q := Request{
		User: j.Local(), Mechanism: en.mechanism, Binding: en.binding, Resume: resume, Token: en.token,
		Bind: &Bind{Tag: j.Resource(), Manage: en.manage == "stream management", Carbons: en.carbons, Inactive: en.inactive},
	}
	if en.agent != "" {
		q.Agent = agent(r.there.Replace(full(name)), en.agent)
	}
	if en.by == "fast" {
		t, ok := r.tokens[name]
		if !ok {
			r.Fatalf("%s has no token", name)
		}
		q.Agent, q.Mechanism, q.Secret = t.agent, t.mechanism, t.secret
	}
	c.Secure()
	s, err := c.SASL2(q)
	if err != nil {
		r.Fatalf("log in as %s: %v", c.from, err)
	}
	if en.token != "" && s.Token == nil {
		r.Fatalf("%s got no token:\n%s", name, s.Element)
	}
	if s.Token != nil {
		mechanism := en.token
		if mechanism == "" {
			mechanism = q.Mechanism
		}
		r.tokens[name] = token{q.Agent, mechanism, s.Token.Attr("token")}
	}
	if s.Resumed {
		return s.Child(nsSM, "resumed")
	}
	r.rename(full(name), c.JID.String())
	r.vars["stream"] = c.StreamID()
	return s.Child(nsSM, "failed")
}

// agent is the id of a client's installation: the same for the same words.
func agent(account, name string) string {
	account, _, _ = strings.Cut(account, "/")
	b := sha256.Sum256([]byte(account + " " + name))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // a UUID of version 4, as XEP-0388 §2.4 has it
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// rename has the scenario's name of a resource stand for the real one.
func (r *run) rename(name, real string) {
	r.pairs = append([]string{name, real}, r.pairs...)
	r.replacers()
}

// replacers makes them from pairs, of which earlier ones come first.
func (r *run) replacers() {
	back := slices.Clone(r.pairs)
	for i := 0; i < len(back); i += 2 {
		back[i], back[i+1] = back[i+1], back[i]
	}
	r.there, r.back = strings.NewReplacer(r.pairs...), strings.NewReplacer(back...)
}
