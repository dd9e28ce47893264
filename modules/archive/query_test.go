package archive_test

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// night is when the messages of a test archive begin to arrive, one each minute.
var night = time.Date(2026, 7, 14, 23, 0, 0, 123456000, time.UTC)

// fill puts n messages into Romeo's archive, with the bodies 1 to n: odd ones are
// from juliet/balcony, those divisible by four go to nurse, the others to juliet.
func fill(t testing.TB, w *routertest.World, n int) (ids []string) {
	t.Helper()
	run := storage.Run{}
	for i := 1; i <= n; i++ {
		m := &storage.Message{
			Owner: jid.MustParse("romeo@localhost"), Flags: storage.Archived,
			Arrived: night.Add(time.Duration(i) * time.Minute), ID: strconv.Itoa(i),
		}
		switch {
		case i%2 == 1:
			m.Peer = jid.MustParse("juliet@localhost/balcony")
			m.XML = fmt.Appendf(nil, "<message from='%s' to='romeo@localhost'><body>%d</body></message>", m.Peer, i)
		case i%4 == 0:
			m.Peer, m.Flags = jid.MustParse("nurse@localhost"), m.Flags|storage.FromOwner
			m.XML = fmt.Appendf(nil, "<message from='romeo@localhost/home' to='%s'><body>%d</body></message>", m.Peer, i)
		default:
			m.Peer, m.Flags = jid.MustParse("juliet@localhost"), m.Flags|storage.FromOwner
			m.XML = fmt.Appendf(nil, "<message from='romeo@localhost/home' to='%s'><body>%d</body></message>", m.Peer, i)
		}
		m.Chat = m.Peer.Bare()
		run.Writes = append(run.Writes, m)
	}
	w.DB.Join(&run)
	run.Wait()
	for i, err := range run.Errs {
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, run.Writes[i].(*storage.Message).StanzaID())
	}
	return ids
}

const (
	form = "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>urn:xmpp:mam:2</value></field>%s</x>"
	rsm  = "<set xmlns='http://jabber.org/protocol/rsm'>%s</set>"
)

func field(name string, values ...string) string {
	f := "<field var='" + name + "'>"
	for _, v := range values {
		f += "<value>" + v + "</value>"
	}
	return f + "</field>"
}

// ask sends a query, in which #3 stands for the id of the third message, and sums up
// the answer: the bodies in the order of the results, what <fin/> says, the condition
// of an error.
func ask(c *routertest.Client, ids []string, inner string) string {
	inner = expand(ids, inner)
	c.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2' queryid='f&lt;1'>" + inner + "</query></iq>")
	return summary(ids, c.Received())
}

func expand(ids []string, s string) string {
	return regexp.MustCompile(`#\d+`).ReplaceAllStringFunc(s, func(n string) string {
		i, _ := strconv.Atoi(n[1:])
		return ids[i-1]
	})
}

func summary(ids []string, xml string) string {
	var out []string
	for _, m := range regexp.MustCompile(`<body>([^<]*)</body>`).FindAllStringSubmatch(xml, -1) {
		out = append(out, m[1])
	}
	if e := regexp.MustCompile(`<([a-z-]+) xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>`).FindStringSubmatch(xml); e != nil {
		return strings.Join(append(out, e[1]), " ")
	}
	for i, id := range ids {
		xml = strings.ReplaceAll(xml, ">"+id+"<", ">"+strconv.Itoa(i+1)+"<")
	}
	for _, part := range []string{"first", "last", "count"} {
		if m := regexp.MustCompile("<" + part + ">([^<]*)<").FindStringSubmatch(xml); m != nil {
			out = append(out, part+"="+m[1])
		}
	}
	if strings.Contains(xml, "<fin xmlns='urn:xmpp:mam:2' complete='true' stable='true'>") {
		out = append(out, "complete")
	} else if !strings.Contains(xml, "<fin xmlns='urn:xmpp:mam:2' stable='true'>") {
		out = append(out, "no end")
	}
	return strings.Join(out, " ")
}

func stampOf(minutes int) string {
	return night.Add(time.Duration(minutes) * time.Minute).Format("2006-01-02T15:04:05.000Z")
}

func TestQueries(t *testing.T) {
	t.Parallel()
	w, romeo, juliet := world(t)
	ids := fill(t, w, 10)
	juliet.Send("<message to='romeo@localhost' type='chat'><body>last</body></message>")
	ids = append(ids, rows(t, w, "romeo@localhost")[10].StanzaID())
	foreign := rows(t, w, "juliet@localhost")[0].StanzaID()
	romeo.Received()
	guess := string(storage.AppendStanzaID(nil, 3, 3)) // the position of a message, but not its id
	const all = "1 2 3 4 5 6 7 8 9 10 last first=1 last=11 count=11 complete"
	max := func(n int) string { return fmt.Sprintf("<max>%d</max>", n) }

	for _, tt := range []struct{ name, form, set, want string }{
		{"everything", "", "", all},
		{"everything, by form and set", form, rsm, all},
		{"nothing but the form's name", fmt.Sprintf(form, ""), fmt.Sprintf(rsm, ""), all},
		{"blank fields", field("with") + field("start", "") + field("end", "") + field("ids") + field("after-id", ""), "", all},
		{"without rooms", field("include-groupchat", "false"), "", all},
		{"with rooms", field("include-groupchat", "1"), "", all},

		{"first page", "", max(3), "1 2 3 first=1 last=3 count=11"},
		{"second page", "", max(3) + "<after>#3</after>", "4 5 6 first=4 last=6 count=11"},
		{"page of one", "", max(1) + "<after>#3</after>", "4 first=4 last=4 count=11"},
		{"last page forward", "", max(3) + "<after>#9</after>", "10 last first=10 last=11 count=11 complete"},
		{"page that ends with the last", "", max(2) + "<after>#9</after>", "10 last first=10 last=11 count=11 complete"},
		{"behind the last", "", max(2) + "<after>#11</after>", "count=11 complete"},
		{"last page", "", max(3) + "<before/>", "9 10 last first=9 last=11 count=11"},
		{"page before", "", max(3) + "<before>#9</before>", "6 7 8 first=6 last=8 count=11"},
		{"first page backward", "", max(3) + "<before>#3</before>", "1 2 first=1 last=2 count=11 complete"},
		{"before the first", "", max(3) + "<before>#1</before>", "count=11 complete"},
		{"last page between", "", max(2) + "<after>#2</after><before>#6</before>", "4 5 first=4 last=5 count=11"},
		{"between", "", max(3) + "<after>#2</after><before>#6</before>", "3 4 5 first=3 last=5 count=11 complete"},
		{"last page behind", "", max(2) + "<after>#8</after><before/>", "10 last first=10 last=11 count=11"},
		{"between, reversed", "", max(3) + "<after>#6</after><before>#2</before>", "count=11 complete"},

		{"flipped", "", max(3) + "<flip/>", "3 2 1 first=1 last=3 count=11"},
		{"flipped next", "", max(3) + "<after>#3</after><flip/>", "6 5 4 first=4 last=6 count=11"},
		{"flipped last page", "", max(3) + "<before/><flip/>", "last 10 9 first=9 last=11 count=11"},
		{"flipped page before", "", max(3) + "<before>#9</before><flip/>", "8 7 6 first=6 last=8 count=11"},

		{"count", "", max(0), "count=11"},
		{"count of a chat", field("with", "nurse@localhost"), max(0), "count=2"},
		{"count of a time", field("start", stampOf(5)), max(0), "count=7"},
		{"count of nothing", field("with", "tybalt@localhost"), max(0), "count=0 complete"},
		{"count does not depend on the page", "", max(0) + "<after>#9</after>", "count=11"},

		{"with", field("with", "nurse@localhost"), "", "4 8 first=4 last=8 count=2 complete"},
		{"with, page", field("with", "juliet@localhost"), max(3) + "<after>#2</after>", "3 5 6 first=3 last=6 count=9"},
		{"with, last page", field("with", "juliet@localhost"), max(3) + "<before/>", "9 10 last first=9 last=11 count=9"},
		{"with, in another spelling", field("with", "NURSE@localhost"), "", "4 8 first=4 last=8 count=2 complete"},
		{"with a full address", field("with", "juliet@localhost/balcony"), max(4), "1 3 5 7 first=1 last=7"},
		{"with an unknown resource", field("with", "juliet@localhost/tablet"), "", "count=0 complete"},
		{"with oneself", field("with", "romeo@localhost"), "", "count=0 complete"},
		{"with own resource", field("with", "romeo@localhost/home"), "", "count=0 complete"},
		{"with nobody", field("with", "tybalt@localhost"), "", "count=0 complete"},
		{"with somebody, behind another's", field("with", "nurse@localhost"), max(1) + "<after>#5</after>", "8 first=8 last=8 count=2 complete"},

		{"start", field("start", stampOf(9)), max(2), "9 10 first=9 last=10"},
		{"start a little later", field("start", strings.Replace(stampOf(9), ".123", ".124", 1)), max(1), "10 first=10 last=10"},
		{"start a little later than milliseconds", field("start", strings.Replace(stampOf(9), ".123Z", ".1231Z", 1)), max(1), "10 first=10 last=10"},
		{"start in another zone", field("start", "2026-07-15T01:09:00+02:00"), max(1), "9 first=9 last=9"},
		{"end", field("end", stampOf(2)), "", "1 2 first=1 last=2 count=2 complete"},
		{"end a little earlier", field("end", strings.Replace(stampOf(2), ".123", ".122", 1)), "", "1 first=1 last=1 count=1 complete"},
		{"end long ago", field("end", "0001-01-01T00:00:00Z"), "", "count=0 complete"},
		{"start and end", field("start", stampOf(4)) + field("end", stampOf(6)), "", "4 5 6 first=4 last=6 count=3 complete"},
		{"the wrong way round", field("start", stampOf(6)) + field("end", stampOf(4)), "", "count=0 complete"},
		{"time and with", field("start", stampOf(4)) + field("end", stampOf(8)) + field("with", "juliet@localhost"), max(3), "5 6 7 first=5 last=7 count=3 complete"},
		{"time, last page", field("end", stampOf(6)), max(2) + "<before/>", "5 6 first=5 last=6"},

		{"after-id", field("after-id", "#9"), "", "10 last first=10 last=11 count=2 complete"},
		{"before-id", field("before-id", "#3"), "", "1 2 first=1 last=2 count=2 complete"},
		{"before-id does not page backwards", field("before-id", "#9"), max(2), "1 2 first=1 last=2"},
		{"both ids", field("after-id", "#3") + field("before-id", "#7"), "", "4 5 6 first=4 last=6 count=3 complete"},
		{"ids and page", field("after-id", "#3") + field("before-id", "#7"), max(2) + "<before/>", "5 6 first=5 last=6"},
		{"ids and next page", field("after-id", "#3") + field("before-id", "#7"), max(2) + "<after>#5</after>", "6 first=6 last=6 complete"},
		{"ids and page before", field("before-id", "#9"), max(2) + "<before>#5</before>", "3 4 first=3 last=4"},
		{"page outside of the ids", field("after-id", "#8"), max(2) + "<after>#2</after>", "9 10 first=9 last=10"},
		{"after-id and with", field("after-id", "#5") + field("with", "nurse@localhost"), "", "8 first=8 last=8 count=1 complete"},

		{"ids", field("ids", "#7", "#2", "#11", "#2"), "", "2 7 last first=2 last=11 count=3 complete"},
		{"ids many times", field("ids", strings.Fields(strings.Repeat("#11 #10 #9 #8 #7 #6 #5 #4 #3 #2 #1 ", 3))...), "", all},
		{"ids, page", field("ids", "#7", "#2", "#11"), max(2), "2 7 first=2 last=7 count=3"},
		{"ids, next page", field("ids", "#7", "#2", "#11"), max(2) + "<after>#7</after>", "last first=11 last=11 count=3 complete"},
		{"ids, last page", field("ids", "#7", "#2", "#11"), max(2) + "<before/>", "7 last first=7 last=11 count=3"},
		{"ids, flipped", field("ids", "#7", "#2", "#11"), max(2) + "<before/><flip/>", "last 7 first=7 last=11 count=3"},
		{"ids, count", field("ids", "#7", "#2"), max(0), "count=2"},
		{"ids and with", field("ids", "#4", "#5") + field("with", "nurse@localhost"), "", "4 first=4 last=4 count=1 complete"},
		{"ids and a full address", field("ids", "#2", "#5") + field("with", "juliet@localhost/balcony"), "", "5 first=5 last=5 count=1 complete"},
		{"ids and time", field("ids", "#4", "#5") + field("end", stampOf(4)), "", "4 first=4 last=4 count=1 complete"},
		{"ids and ids", field("ids", "#4", "#5", "#6") + field("after-id", "#4") + field("before-id", "#6"), "", "5 first=5 last=5 count=1 complete"},

		{"unknown id in a page", "", "<after>nonsense</after>", "item-not-found"},
		{"guessed id in a page", "", "<after>" + guess + "</after>", "item-not-found"},
		{"unknown id before a page", "", "<before>nonsense</before>", "item-not-found"},
		{"guessed id before a page", "", "<before>" + guess + "</before>", "item-not-found"},
		{"unknown after-id", field("after-id", guess), "", "item-not-found"},
		{"unknown before-id", field("before-id", guess), "", "item-not-found"},
		{"unknown id", field("ids", "#1", guess), "", "item-not-found"},
		{"unknown id behind a page", field("ids", "#1", "#2", "nonsense"), max(1), "item-not-found"},
		{"id of another archive", field("ids", foreign), "", "item-not-found"},
		{"blank id", field("ids", ""), "", "item-not-found"},
		{"node", "node", "", "item-not-found"},

		{"unknown field", field("{http://example.com/}mood", "lonely"), "", "feature-not-implemented"},
		{"search without one", field("{urn:xmpp:fulltext:0}fulltext", "x"), "", "feature-not-implemented"},
		{"index", "", max(3) + "<index>3</index>", "feature-not-implemented"},
		{"no number", "", "<max>x</max>", "bad-request"},
		{"no date", field("start", "yesterday"), "", "bad-request"},
		{"date without time", field("end", "2026-07-14"), "", "bad-request"},
		{"time without zone", field("end", "2026-07-14T23:00:00"), "", "bad-request"},
		{"no address", field("with", "@localhost"), "", "bad-request"},
		{"two addresses", field("with", "juliet@localhost", "nurse@localhost"), "", "bad-request"},
		{"neither true nor false", field("include-groupchat", "maybe"), "", "bad-request"},
		{"another form", "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>urn:xmpp:mam:1</value></field></x>", "", "bad-request"},
		{"form without a name", "<x xmlns='jabber:x:data' type='submit'/>", "", "bad-request"},
		{"cancelled", strings.Replace(form, "submit", "cancel", 1), "", "bad-request"},
		{"too many ids", field("ids", strings.Split(strings.Repeat("#1 ", 250)+"#1", " ")...), "", "policy-violation"},
	} {
		inner := tt.form
		if strings.HasPrefix(inner, "<field") {
			inner = fmt.Sprintf(form, inner)
		}
		inner = strings.ReplaceAll(inner, "%s", "")
		set := tt.set
		if flip := strings.TrimSuffix(set, "<flip/>"); flip != set {
			inner, set = inner+"<flip-page/>", flip
		}
		if set != "" && !strings.HasPrefix(set, "<set") {
			set = fmt.Sprintf(rsm, set)
		}
		inner += strings.ReplaceAll(set, "%s", "")
		var got string
		if tt.form == "node" {
			romeo.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2' node='princely_musings'/></iq>")
			got = summary(ids, romeo.Received())
		} else {
			got = ask(romeo, ids, inner)
		}
		if got != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, got, tt.want)
		}
	}
}

// A client that asks faster than it reads is told so, and its connection stays.
func TestAsksFasterThanItReads(t *testing.T) {
	t.Parallel()
	w, romeo, _ := world(t)
	ids := fill(t, w, 3)
	const query = "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>"
	unread := "<message>" + strings.Repeat("x", int(limits().OutboxBytes)*7/8) + "</message>\n"
	if !romeo.Outbox.Append([]byte(unread)) {
		t.Fatal("not queued")
	}
	romeo.Send(query)
	got, ok := strings.CutPrefix(romeo.Received(), unread)
	if !ok || !strings.Contains(got, "<resource-constraint ") || strings.Contains(got, "<result ") || strings.Count(got, "\n") != 1 {
		t.Errorf("%.1000s", got)
	}
	romeo.Send(query)
	if got, want := summary(ids, romeo.Received()), "1 2 3 first=1 last=3 count=3 complete"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What a page is on the wire (XEP-0313 §4.2, XEP-0297).
func TestResult(t *testing.T) {
	t.Parallel()
	w, romeo, _ := world(t)
	ids := fill(t, w, 1)
	romeo.Send("<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2' queryid='a&amp;&apos;b'/></iq>",
		"<iq type='set' id='q2' to='romeo@localhost'><query xmlns='urn:xmpp:mam:2'/></iq>")
	result := func(attr string) string {
		return "<message from='romeo@localhost' to='romeo@localhost/home'><result xmlns='urn:xmpp:mam:2'" + attr + " id='" + ids[0] + "'>" +
			"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2026-07-14T23:01:00.123Z'/>" +
			"<message xmlns='jabber:client' from='juliet@localhost/balcony' to='romeo@localhost'><body>1</body></message></forwarded></result></message>\n"
	}
	fin := "<fin xmlns='urn:xmpp:mam:2' complete='true' stable='true'><set xmlns='http://jabber.org/protocol/rsm'>" +
		"<first>" + ids[0] + "</first><last>" + ids[0] + "</last><count>1</count></set></fin></iq>\n"
	want := result(" queryid='a&amp;&apos;b'") + "<iq type='result' id='q' to='romeo@localhost/home'>" + fin +
		result("") + "<iq type='result' id='q2' from='romeo@localhost' to='romeo@localhost/home'>" + fin
	if got := romeo.Received(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// Nobody reads the archive of somebody else, nor learns whether it exists.
func TestOnlyTheOwner(t *testing.T) {
	t.Parallel()
	w, _, juliet := world(t)
	fill(t, w, 1)
	for _, to := range []string{"romeo@localhost", "nobody@localhost"} {
		for _, q := range []string{
			"type='set'><query xmlns='urn:xmpp:mam:2'/>", "type='get'><query xmlns='urn:xmpp:mam:2'/>", "type='get'><metadata xmlns='urn:xmpp:mam:2'/>",
			"type='get'><prefs xmlns='urn:xmpp:mam:2'/>", "type='set'><prefs xmlns='urn:xmpp:mam:2' default='never'/>",
		} {
			juliet.Send("<iq id='q' to='" + to + "' " + q + "</iq>")
			if got := juliet.Received(); !strings.Contains(got, "<forbidden ") || strings.Count(got, "\n") != 1 {
				t.Errorf("%s of %s: %s", q, to, got)
			}
		}
	}
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	w, romeo, _ := world(t)
	const question = "<iq type='get' id='q'><metadata xmlns='urn:xmpp:mam:2'/></iq>"
	romeo.Send(question)
	if got, want := romeo.Received(), "<iq type='result' id='q' to='romeo@localhost/home'><metadata xmlns='urn:xmpp:mam:2'/></iq>\n"; got != want {
		t.Errorf("%s", got)
	}
	ids := fill(t, w, 3)
	romeo.Send(question)
	want := "<iq type='result' id='q' to='romeo@localhost/home'><metadata xmlns='urn:xmpp:mam:2'>" +
		"<start id='" + ids[0] + "' timestamp='2026-07-14T23:01:00.123Z'/><end id='" + ids[2] + "' timestamp='2026-07-14T23:03:00.123Z'/></metadata></iq>\n"
	if got := romeo.Received(); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// search finds messages by one word, that the index knows.
type search struct{}

func (search) Query(text string) ([]string, func(*storage.Message) bool) {
	if text == "?" {
		return nil, nil
	}
	return []string{text}, func(m *storage.Message) bool { return strings.Contains(string(m.XML), text) }
}

func TestForm(t *testing.T) {
	t.Parallel()
	const want = "<iq type='result' id='q' to='romeo@localhost/home'><query xmlns='urn:xmpp:mam:2'><x xmlns='jabber:x:data' type='form'>" +
		"<field type='hidden' var='FORM_TYPE'><value>urn:xmpp:mam:2</value></field>" +
		"<field type='jid-single' var='with'/><field type='text-single' var='start'/><field type='text-single' var='end'/>" +
		"<field type='text-single' var='before-id'/><field type='text-single' var='after-id'/>" +
		"<field type='list-multi' var='ids'><validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:string'><open/></validate></field>" +
		"<field type='boolean' var='include-groupchat'/></x></query></iq>\n"
	const text = "<field type='text-single' var='{urn:xmpp:fulltext:0}fulltext'/>"
	w, romeo, _ := world(t)
	for _, searching := range []bool{false, true} {
		want := want
		if searching {
			w = routertest.New(t, func(db *sqlite.DB, _ *router.Router) []modules.Module {
				return []modules.Module{archive.New(db, contacts{}, search{}, nil, limits)}
			}, "localhost")
			w.Account("romeo@localhost")
			romeo = w.Login("romeo@localhost/home")
			want = strings.Replace(want, "</x>", text+"</x>", 1)
		}
		romeo.Send("<iq type='get' id='q'><query xmlns='urn:xmpp:mam:2'/></iq>")
		if got := romeo.Received(); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
	ids := fill(t, w, 3)
	for text, want := range map[string]string{"": "1 2 3 first=1 last=3 count=3 complete", "?": "count=0 complete"} {
		if got := ask(romeo, ids, fmt.Sprintf(form, field("{urn:xmpp:fulltext:0}fulltext", text))); got != want {
			t.Errorf("text %q: %s", text, got)
		}
	}
	if got := ask(romeo, ids, fmt.Sprintf(form, field("{urn:xmpp:fulltext:0}fulltext", "from='juliet")+field("ids", "#1", "#2", "#3"))); got != "1 3 first=1 last=3 count=2 complete" {
		t.Errorf("ids by their text: %s", got)
	}
}

// A page is bounded in rows and bytes, but never empty; and its rows are told to be
// such, so that what the client confirms need not be delivered once more.
func TestPageLimits(t *testing.T) {
	t.Parallel()
	var queried []*session.Session
	w := routertest.New(t, func(db *sqlite.DB, _ *router.Router) []modules.Module {
		small := limits()
		small.OutboxBytes = 2 * 3000
		return []modules.Module{archive.New(db, contacts{}, nil, func(s *session.Session) { queried = append(queried, s) }, func() config.Limits {
			return small
		})}
	}, "localhost")
	w.Account("romeo@localhost")
	romeo := w.Login("romeo@localhost/home")
	ids := fill(t, w, 300)
	for _, tt := range []struct{ set, want string }{
		{"", "1 2 3 4 5 6 first=1 last=6 count=300"},
		{"<max>250</max>", "1 2 3 4 5 6 first=1 last=6 count=300"},
		{"<before/>", "295 296 297 298 299 300 first=295 last=300 count=300"},
	} {
		got := ask(romeo, ids, fmt.Sprintf(rsm, tt.set))
		if want := regexp.MustCompile(`\b\d+\b`); len(want.FindAllString(got, -1)) < 5 || strings.Contains(got, "complete") || strings.Count(got, " ") > 12 {
			t.Errorf("%s: %s", tt.set, got)
		}
	}
	if len(queried) != 3 || queried[0] != romeo.Session {
		t.Errorf("%d queries told", len(queried))
	}
}

// A page of 50 out of the middle of an archive.
func BenchmarkPage(b *testing.B) {
	w, romeo, _ := world(b)
	ids := fill(b, w, 10_000)
	query := "<iq type='set' id='q'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>50</max><after>" + ids[5000] + "</after></set></query></iq>"
	b.ReportAllocs()
	for b.Loop() {
		romeo.Send(query)
		if n := strings.Count(romeo.Received(), "<result "); n != 50 {
			b.Fatalf("%d results", n)
		}
	}
}
