package xmpptest

import (
	"encoding/xml"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/jid"
)

// Scenarios runs the files of a folder, each over TCP and over WebSocket, on
// SQLite and on PostgreSQL. With XMPPD_TEST_TARGET=HOST:PORT they run over TCP
// against the server there, which has to serve the domain XMPPD_TEST_DOMAIN
// (localhost) and register accounts in band (XEP-0077); files that need a
// configuration of their own are left out.
func Scenarios(t *testing.T, dir string) {
	all, err := LoadScenarios(dir)
	if err != nil {
		t.Fatal(err)
	}
	if target := os.Getenv("XMPPD_TEST_TARGET"); target != "" {
		domain := os.Getenv("XMPPD_TEST_DOMAIN")
		if domain == "" {
			domain = Domain
		}
		external(t, all, target, domain)
		return
	}
	for _, store := range Stores() {
		t.Run(string(store), func(t *testing.T) {
			t.Parallel()
			servers := make(map[string]*Server)
			for i, s := range all {
				if !s.Still && servers[s.Config] == nil {
					servers[s.Config] = Start(t, Options{Store: store, Config: s.Config})
				}
				for _, way := range s.Ways {
					t.Run(s.Name+"/"+string(way), func(t *testing.T) {
						t.Parallel()
						server := servers[s.Config]
						if s.Still {
							server = Start(t, Options{Store: store, Config: s.Config, Still: true})
						}
						tag := "." + strconv.Itoa(i) + string(way[0])
						s.Run(t, &here{server}, way, tag)
					})
				}
			}
		})
	}
}

func external(t *testing.T, all []*Scenario, target, domain string) {
	for i, s := range all {
		t.Run(s.Name, func(t *testing.T) {
			if s.Config != "" || s.Still || !slices.Contains(s.Ways, TCP) {
				t.Skip("needs a configuration or a clock of its own, or WebSocket")
			}
			t.Parallel()
			s.Run(t, &elsewhere{target, domain, make(map[string]bool)}, TCP, fmt.Sprintf(".%d-%d", i, os.Getpid()))
		})
	}
}

// run is a scenario that is running.
type run struct {
	testing.TB
	s       *Scenario
	line    int
	place   place
	way     Way
	pairs   []string          // names of the file and those of the place
	there   *strings.Replacer // from the former to the latter
	back    *strings.Replacer
	vars    Vars
	clients map[string]*Client
	address map[string]string // of clients that are called something else
	tokens  map[string]token  // by client
	names   []string          // of clients, in the order of their first step
	dirty   []*Client
}

// Run plays the scenario. Accounts get the tag behind their names, so that
// scenarios can share a server.
func (s *Scenario) Run(t testing.TB, p place, way Way, tag string) {
	r := &run{TB: t, s: s, place: p, way: way, vars: Vars{}, clients: make(map[string]*Client), address: make(map[string]string), tokens: make(map[string]token)}
	for _, a := range s.accounts() {
		local, domain, _ := strings.Cut(full(a), "@")
		if domain == Domain {
			domain = p.domain()
		}
		r.pairs = append(r.pairs, full(a), local+tag+"@"+domain)
		r.vars[local] = local + tag
	}
	if p.domain() != Domain {
		r.pairs = append(r.pairs, Domain, p.domain())
	}
	r.replacers()
	for _, a := range s.accounts() {
		p.account(t, r.there.Replace(full(a)))
	}
	for _, st := range s.steps {
		r.line = st.line
		st.do.run(r, st)
	}
	r.settle(nil)
	for _, name := range r.names {
		r.empty(name)
	}
}

// full is an account or a client with its domain.
func full(name string) string {
	account, resource, ok := strings.Cut(name, "/")
	if !strings.Contains(account, "@") {
		account += "@" + Domain
	}
	if ok {
		account += "/" + resource
	}
	return account
}

// Fatalf implements testing.TB; it adds the place in the file.
func (r *run) Fatalf(format string, args ...any) {
	r.Helper()
	r.TB.Fatalf("%s.scs:%d: %s", r.s.Name, r.line, r.back.Replace(fmt.Sprintf(format, args...)))
}

func (r *run) client(name string) *Client {
	c := r.clients[name]
	if c == nil {
		r.Fatalf("%s has not connected", name)
	}
	return c
}

// settle has the server deal with what the clients but one have sent.
func (r *run) settle(but *Client) {
	r.Helper()
	for _, c := range r.dirty {
		if c != but && !c.JID.IsZero() {
			c.Sync()
		}
	}
	r.dirty = slices.DeleteFunc(r.dirty, func(c *Client) bool { return c != but })
}

func (r *run) empty(name string) {
	r.Helper()
	c := r.clients[name]
	if c.end != nil {
		return
	}
	if !c.JID.IsZero() {
		c.Sync()
	}
	if len(c.queue) > 0 {
		r.Fatalf("%s received what it should not:\n%s", name, c.queue[0])
	}
}

func (r *run) account(step) {}

func (r *run) connects(st step) {
	r.settle(nil)
	name, alias := st.args[0], st.args[1]
	en := r.entry(st.args[2], st.args[3], st.args[4])
	alias = r.called(name, alias)
	c, _ := r.enter(name, en, nil)
	r.join(alias, c)
}

// join makes c the client of that name. One that is never expected to be pinged by
// the server answers pings as clients do, and nobody sees them.
func (r *run) join(name string, c *Client) {
	r.clients[name] = c
	c.AnswerPings(!slices.ContainsFunc(r.s.steps, func(st step) bool {
		return len(st.args) > 0 && st.args[0] == name && slices.ContainsFunc(st.want, func(e *Element) bool { return isPing(e, Domain) })
	}))
}

// addressOf is the address of a client, which may be called something else.
func (r *run) addressOf(name string) string {
	if address, ok := r.address[name]; ok {
		return address
	}
	return name
}

// called is what a client is called from now on.
func (r *run) called(name, alias string) string {
	if alias == "" {
		alias = name
	} else {
		r.address[alias] = r.addressOf(name)
	}
	if c := r.clients[alias]; c != nil && c.end == nil {
		r.Fatalf("%s is connected", alias)
	} else if c == nil {
		r.names = append(r.names, alias)
	}
	return alias
}

func (r *run) available(st step) {
	c := r.client(st.args[0])
	r.settle(nil)
	if st.args[1] == "" {
		c.Send("<presence/>")
	} else {
		c.Send("<presence><priority>" + st.args[1] + "</priority></presence>")
	}
	c.Sync()
	for _, other := range r.clients {
		if other.end == nil && other.JID.Bare() == c.JID.Bare() {
			other.Sync()
			other.queue = slices.DeleteFunc(other.queue, func(e *Element) bool {
				from, err := jid.Parse(e.Attr("from"))
				return e.Name == "presence" && e.Attr("type") == "" && err == nil && from.Bare() == c.JID.Bare()
			})
		}
	}
}

func (r *run) sends(st step) {
	c := r.client(st.args[0])
	r.settle(c)
	c.Send(r.there.Replace(r.vars.Expand(st.block)))
	if !slices.Contains(r.dirty, c) {
		r.dirty = append(r.dirty, c)
	}
}

func (r *run) receives(st step) {
	c := r.client(st.args[0])
	r.settle(c)
	open := slices.Clone(st.want)
	for len(open) > 0 {
		got := c.Next()
		got.Map(r.back.Replace)
		if st.args[2] != "" && strings.Contains(got.Raw, nsStanzaID) {
			r.Fatalf("%s received\n%s", st.args[0], got)
		}
		if _, foreign := r.place.(*elsewhere); foreign {
			r.lenient(c, got, open)
		}
		candidates := open[:1]
		if st.args[1] != "" {
			candidates = open
		}
		i := slices.IndexFunc(candidates, func(want *Element) bool { return Match(want, got, r.vars) })
		if i < 0 {
			r.Fatalf("%s received\n%s\nand should have received\n%s", st.args[0], got, candidates[0])
		}
		open = slices.Delete(open, i, i+1)
	}
}

// lenient takes away addresses that another server may leave out or write
// differently: an IQ or presence without 'from' is from the own account, one
// without 'to' for the client itself (RFC 6120 §8.1.1, §8.1.2).
func (r *run) lenient(c *Client, got *Element, want []*Element) {
	account, self := r.back.Replace(c.JID.Bare().String()), r.back.Replace(c.JID.String())
	for _, e := range append([]*Element{got}, want...) {
		if e.Name == "message" {
			continue
		}
		e.Attrs = slices.DeleteFunc(e.Attrs, func(a xml.Attr) bool {
			return a.Name.Local == "from" && a.Value == account || a.Name.Local == "to" && (a.Value == account || a.Value == self)
		})
	}
}

func (r *run) nothing(st step) {
	r.settle(nil)
	for name := range strings.SplitSeq(strings.ReplaceAll(st.args[0], " and ", ","), ",") {
		r.client(strings.TrimSpace(name))
		r.empty(strings.TrimSpace(name))
	}
}

func (r *run) leaves(st step) {
	c := r.client(st.args[0])
	r.settle(nil)
	r.empty(st.args[0])
	if st.args[1] == "vanishes" {
		c.Drop()
	} else {
		c.Close()
	}
}

func (r *run) ends(st step) {
	c := r.client(st.args[0])
	r.settle(c)
	r.dirty = slices.DeleteFunc(r.dirty, func(d *Client) bool { return d == c })
	c.ExpectEnd(st.args[1])
	c.wait()
}

func (r *run) friends(st step) {
	a, b := r.setup(st.args[0]), r.setup(st.args[1])
	subscribe(a, b)
	subscribe(b, a)
	r.discard(a, b)
}

func (r *run) sees(st step) {
	a, b := r.setup(st.args[0]), r.setup(st.args[1])
	subscribe(a, b)
	r.discard(a, b)
}

func (r *run) setup(account string) *Client {
	c, _ := r.enter(account+"/setup", entry{way: r.way, lang: "en"}, nil)
	return c
}

// subscribe has a see b's presence.
func subscribe(a, b *Client) {
	a.Send("<presence type='subscribe' to='" + b.JID.Bare().String() + "'/>")
	a.Sync()
	b.Send("<presence type='subscribed' to='" + a.JID.Bare().String() + "'/>")
	b.Sync()
}

// discard closes the clients that have only prepared something.
func (r *run) discard(clients ...*Client) {
	for _, c := range clients {
		c.Sync()
		c.queue = nil
		c.Close()
	}
}
