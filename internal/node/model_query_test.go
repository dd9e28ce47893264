package node_test

import (
	"encoding/xml"
	"slices"
	"strconv"

	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
)

// query is a question to the archive (XEP-0313).
type query struct {
	with          jid.JID
	start, end    string // stamps
	after, before string // ids of the form
	text          string
	page
}

// page is what is asked for by XEP-0059.
type page struct {
	max           int    // -1: not given
	after, before string // ids
	last          bool   // <before/> is given
}

func (p page) xml() string {
	x := "<set xmlns='http://jabber.org/protocol/rsm'>"
	if p.max >= 0 {
		x += "<max>" + strconv.Itoa(p.max) + "</max>"
	}
	if p.after != "" {
		x += "<after>" + p.after + "</after>"
	}
	if p.last {
		x += "<before>" + p.before + "</before>"
	}
	return x + "</set>"
}

func (q *query) xml() string {
	x := "<query xmlns='" + nsArchive + "'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>" + nsArchive + "</value></field>"
	for _, f := range [][2]string{
		{"with", q.with.String()}, {"start", q.start}, {"end", q.end}, {"after-id", q.after}, {"before-id", q.before},
		{"{urn:xmpp:fulltext:0}fulltext", q.text},
	} {
		if f[1] != "" {
			x += "<field var='" + f[0] + "'><value>" + f[1] + "</value></field>"
		}
	}
	return x + "</x>" + q.page.xml() + "</query>"
}

// find is what the query selects.
func (a *account) find(q *query) (set []*row) {
	after, before := a.where(q.after), a.where(q.before)
	for _, r := range a.log {
		switch p := r.peer(); {
		case !q.with.IsZero() && p != q.with && (q.with.IsFull() && q.with.Bare() != a.jid || p.Bare() != q.with.Bare()),
			q.start != "" && r.stamp < q.start, q.end != "" && r.stamp > q.end,
			q.after != "" && r.at <= after, q.before != "" && r.at >= before,
			q.text != "" && (!r.found || !finds(q.text, r.note.text)):
		default:
			set = append(set, r)
		}
	}
	return set
}

// where is the position of a row with an id.
func (a *account) where(id string) int {
	for _, r := range a.log {
		if r.id == id {
			return r.at
		}
	}
	return 0
}

// cut takes the page out of a set, and says whether there is more in its direction.
// sign is -1 if positions fall.
func (a *account) cut(p page, most int, set []*row, sign int) (out []*row, more bool) {
	after, before := sign*a.where(p.after), sign*a.where(p.before)
	for _, r := range set {
		if at := sign * r.at; (p.after == "" || at > after) && (p.before == "" || at < before) {
			out = append(out, r)
		}
	}
	if p.max >= 0 {
		most = min(p.max, most)
	}
	switch n := len(out); {
	case n <= most:
		return out, false
	case p.last:
		return out[n-most:], true
	}
	return out[:most], true
}

// ask sends an IQ and returns the element that ends the answer; results are set.
func (w *world) ask(s *sess, kind, payload string) *xmpptest.Element {
	w.asked++
	id := "q" + strconv.Itoa(w.asked)
	s.results = nil
	w.trace("%s asks %s", s.full, payload)
	s.c.Send("<iq type='" + kind + "' id='" + id + "'>" + payload + "</iq>")
	w.sync(s)
	answer := s.answers[id]
	if answer == nil || answer.Attr("type") != "result" {
		w.fail("%s got the answer\n%s", s.full, answer)
	}
	delete(s.answers, id)
	return answer.Children()[0]
}

// readArchive compares the answer to a query, and returns the page.
func (w *world) readArchive(s *sess, q *query) []*row {
	a := s.account
	w.learn(a)
	fin := w.ask(s, "set", q.xml())
	most := 250
	if q.max < 0 {
		most = 50
	}
	set := a.find(q)
	rows, more := a.cut(q.page, most, set, 1)
	w.compareFin(s, fin, rows, len(set))
	if complete := fin.Attr("complete") == "true"; complete == more && q.max != 0 {
		w.fail("%s got a page with complete: %v", s.full, complete)
	}
	for i, e := range s.results {
		if e.Attr("from") != a.jid.String() || e.Attr("to") != s.full.String() {
			w.fail("%s got\n%s", s.full, e)
		}
		w.compareResult(rows[i], e.Child(nsArchive, "result"))
		rows[i].got, s.got[rows[i].note.n] = true, true
	}
	return rows
}

// compareFin compares what XEP-0059 says of a page, and its length.
func (w *world) compareFin(s *sess, fin *xmpptest.Element, rows []*row, count int) {
	set := fin.Children()[0]
	want := []string{"", "", strconv.Itoa(count)}
	if len(rows) > 0 {
		want[0], want[1] = rows[0].id, rows[len(rows)-1].id
	}
	for i, name := range []string{"first", "last", "count"} {
		got := ""
		if e := set.Child(set.Space, name); e != nil {
			got = e.Text()
		}
		if got != want[i] && (got != "" || name != "count") || len(s.results) != len(rows) {
			w.fail("%s got %d results, want %d; %s is %q, want %q:%s\nof%s", s.full, len(s.results), len(rows), name, got, want[i],
				dump(s.results, (*xmpptest.Element).String), dump(s.account.log, (*row).canon))
		}
	}
}

// compareResult compares a <result/> with the row that it shows.
func (w *world) compareResult(r *row, result *xmpptest.Element) {
	forwarded := result.Child(nsForwarded, "forwarded")
	if id, stamp := result.Attr("id"), forwarded.Child(nsDelayed, "delay").Attr("stamp"); id != r.id || stamp != r.stamp {
		w.fail("got id %s and time %s, want %s, %s of\n%s", id, stamp, r.id, r.stamp, r.note.xml)
	}
	e := forwarded.Child(nsMessage, "message")
	if tomb := e.Child(nsRetract, "retracted"); tomb != nil {
		stamp := tomb.Attr("stamp")
		if r.tombStamp == "" {
			r.tombStamp = stamp
		}
		if stamp == "" || stamp != r.tombStamp {
			w.fail("retracted at %q, before at %q:\n%s", stamp, r.tombStamp, r.note.xml)
		}
		tomb.Attrs = slices.DeleteFunc(tomb.Attrs, func(a xml.Attr) bool { return a.Name.Local == "stamp" })
	}
	canon, added := canonical(e, r.note.to)
	if canon != r.canon() || len(added) > 0 {
		w.fail("the archive has at %d\n%s\n%v want\n%s", r.at, canon, added, r.canon())
	}
}

// browse asks for some page of the archive.
func (w *world) browse(s *sess) {
	a := s.account
	w.learn(a)
	if !s.queries || len(a.log) == 0 {
		return
	}
	q := &query{page: page{max: w.r.IntN(30) - 1, last: w.chance(2)}}
	id := func() string { return pick(w.r, a.log).id }
	for _, f := range []struct {
		once int
		set  func()
	}{
		{3, func() { q.with = pick(w.r, a.log).peer().Bare() }},
		{10, func() { q.with = pick(w.r, a.log).peer() }},
		{6, func() { q.start = pick(w.r, a.log).stamp }},
		{6, func() { q.end = pick(w.r, a.log).stamp }},
		{8, func() { q.after = id() }},
		{8, func() { q.before = id() }},
		{4, func() { q.text = sought(w.r) }},
		{3, func() {
			if q.last {
				q.page.before = id()
			} else {
				q.page.after = id()
			}
		}},
	} {
		if w.chance(f.once) {
			f.set()
		}
	}
	w.readArchive(s, q)
}
