package xmpptest

import (
	"slices"
	"strconv"
	"time"

	"github.com/xmppd/xmppd/jid"
)

// The lines of scenarios about stream management (XEP-0198) and inactive clients
// (XEP-0352).

func (r *run) logsIn(st step) {
	r.settle(nil)
	name := r.called(st.args[0], "")
	j := jid.MustParse(r.there.Replace(full(name)))
	c := r.place.dial(r, r.way)
	c.domain = j.Domain()
	c.Secure()
	c.Authenticate(j.Local(), Password)
	r.join(name, c)
}

func (r *run) binds(st step) {
	c := r.client(st.args[0])
	r.settle(nil)
	c.Bind(jid.MustParse(full(st.args[0])).Resource())
}

func (r *run) enables(st step) {
	c := r.client(st.args[0])
	r.settle(nil)
	c.EnableSM(st.args[1] == "stream management")
	r.vars["stream"] = c.StreamID()
}

func (r *run) acknowledges(st step) {
	c := r.managed(st.args[0])
	r.settle(c)
	off, _ := strconv.Atoi(st.args[1])
	if st.args[2] == "few" {
		off = -off
	}
	c.Ack(off)
	if off == 0 && !slices.Contains(r.dirty, c) {
		r.dirty = append(r.dirty, c)
	}
}

func (r *run) ignores(st step) { r.managed(st.args[0]).AnswerAcks(false) }

func (r *run) asked(st step) {
	c := r.managed(st.args[0])
	r.settle(nil)
	want := 1
	if st.args[1] != "" {
		want = 0
	} else if st.args[2] != "" {
		want, _ = strconv.Atoi(st.args[2])
	}
	if n := c.Asked(want > 0); n != want {
		r.Fatalf("%s was asked to acknowledge %d times", st.args[0], n)
	}
}

func (r *run) acknowledged(st step) {
	c := r.managed(st.args[0])
	r.settle(c)
	c.ExpectAck()
}

func (r *run) loses(st step) {
	c := r.managed(st.args[0])
	r.settle(c)
	r.dirty = slices.DeleteFunc(r.dirty, func(d *Client) bool { return d == c })
	c.DropDetached()
}

func (r *run) resumes(st step) {
	old := r.managed(st.args[0])
	r.settle(nil)
	name := r.called(st.args[0], st.args[1])
	c, answer := r.enter(r.addressOf(st.args[0]), r.entry(st.args[2], st.args[3], ""), old)
	if answer.Name != "resumed" {
		r.Fatalf("%s cannot resume:\n%s", st.args[0], answer)
	}
	r.join(name, c)
	r.dirty = append(r.dirty, c) // with what it may have sent again
}

func (r *run) cannotResume(st step) {
	name := st.args[0]
	old := r.managed(name)
	r.settle(nil)
	r.called(name, "")
	c, answer := r.enter(r.addressOf(name), r.entry(st.args[1], st.args[2], ""), old)
	if answer.Name != "failed" || answer.Child(nsStanzas, "item-not-found") == nil || len(answer.Nodes) != 1 {
		r.Fatalf("%s asked for an old stream and got\n%s", name, answer)
	}
	switch h := answer.Attr("h"); {
	case st.args[3] == "nothing" && h != "", st.args[3] == "what was handled" && h != utoa(old.sm.out):
		r.Fatalf("%s is told that %q of its %d stanzas were handled:\n%s", name, h, old.sm.out, answer)
	}
	r.join(name, c)
}

// managed is a client with stream management, connected or not.
func (r *run) managed(name string) *Client {
	c := r.client(name)
	if c.sm == nil {
		r.Fatalf("%s has no stream management", name)
	}
	return c
}

func (r *run) active(st step) {
	c := r.client(st.args[0])
	r.settle(c)
	c.Inactive(st.args[1] == "inactive")
	if !slices.Contains(r.dirty, c) {
		r.dirty = append(r.dirty, c)
	}
}

func (r *run) sessionEnds(st step) {
	r.settle(nil)
	r.client(st.args[0]).Gone()
}

func (r *run) pass(st step) {
	r.settle(nil)
	n, _ := strconv.Atoi(st.args[0])
	unit := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}[st.args[1]]
	r.place.(*here).Pass(time.Duration(n) * unit)
}
