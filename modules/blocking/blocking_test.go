package blocking_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/presence"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

func limits() config.Limits {
	return config.Limits{RosterItems: 2000, SubscriptionRequests: 100, DirectedPresences: 100}
}

func list(db *sqlite.DB, r *router.Router) []modules.Module {
	contacts := roster.New(db, limits)
	blocks := blocking.New(db, contacts)
	contacts.Blocks = blocks
	r.OnInvalidate(roster.Invalidates, contacts.Invalidated)
	r.OnInvalidate("blocking", blocks.Invalidated)
	return []modules.Module{contacts, blocks, presence.New(contacts, blocks, limits)}
}

// befriend makes accounts that see each other.
func befriend(t *testing.T, w *routertest.World, names ...string) {
	t.Helper()
	for _, n := range names {
		w.Account(n + "@a.example")
	}
	for _, a := range names {
		for _, b := range names {
			if a == b {
				continue
			}
			if _, err := w.Call("add_rosteritem", a, "a.example", b, "a.example", "", "", "both"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func pair(t *testing.T) *routertest.World {
	w := routertest.Pair(t, list, "a.example", "b.example")
	befriend(t, w, "romeo", "juliet")
	noErrors(t, w)
	return w
}

func noErrors(t *testing.T, w *routertest.World) {
	t.Cleanup(func() {
		if logs := w.Logs.String(); logs != "" {
			t.Errorf("logged:\n%s", logs)
		}
	})
}

var ids = regexp.MustCompile(` id='block[^']*'`)

// check compares what a client got since the last time; the ids of pushes are
// left out.
func check(t *testing.T, c *routertest.Client, want ...string) {
	t.Helper()
	got := strings.Split(strings.TrimSuffix(ids.ReplaceAllString(c.Received(), ""), "\n"), "\n")
	if len(want) == 0 {
		want = []string{""}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s received (-want +got):\n%s", c.JID, diff)
	}
}

// follower is a client that has asked for the list.
func follower(n *routertest.Node, full string) *routertest.Client {
	c := n.Login(full)
	c.Send("<iq type='get' id='list'><blocklist xmlns='urn:xmpp:blocking'/></iq>")
	c.Received()
	return c
}

func request(what string, items ...string) string {
	var b strings.Builder
	b.WriteString("<iq type='set' id='1'>" + element(what, items...) + "</iq>")
	return b.String()
}

func element(what string, items ...string) string {
	if len(items) == 0 {
		return "<" + what + " xmlns='urn:xmpp:blocking'/>"
	}
	var b strings.Builder
	for _, i := range items {
		b.WriteString("<item jid='" + i + "'/>")
	}
	return "<" + what + " xmlns='urn:xmpp:blocking'>" + b.String() + "</" + what + ">"
}

func push(c *routertest.Client, what string, items ...string) string {
	return "<iq type='set' to='" + c.JID.String() + "'>" + element(what, items...) + "</iq>"
}

// Pushes reach the sessions of other nodes that have asked, and only those.
func TestPushesBetweenNodes(t *testing.T) {
	t.Parallel()
	w := pair(t)
	home, phone, quiet := follower(w.Node, "romeo@a.example/home"), follower(w.Other, "romeo@a.example/phone"), w.Other.Login("romeo@a.example/quiet")
	other := follower(w.Other, "juliet@a.example/balcony")
	const done = "<iq type='result' id='1' to='romeo@a.example/home'/>"

	for _, step := range []struct {
		what         string
		items        []string
		there        string // the push on the other node
		thereItems   []string
		nothingThere bool
	}{
		{"block", []string{"b@x", "c@x"}, "block", []string{"b@x", "c@x"}, false},
		{"block", []string{"c@x", "d@x"}, "block", []string{"d@x"}, false},
		{"block", []string{"d@x"}, "", nil, true},
		{"unblock", []string{"c@x", "z@x"}, "unblock", []string{"c@x"}, false},
		{"unblock", nil, "unblock", nil, false},
		{"block", []string{"e@x"}, "block", []string{"e@x"}, false},
		{"unblock", []string{"e@x"}, "unblock", []string{"e@x"}, false},
	} {
		home.Send(request(step.what, step.items...))
		check(t, home, push(home, step.what, step.items...), done)
		if step.nothingThere {
			check(t, phone)
		} else {
			check(t, phone, push(phone, step.there, step.thereItems...))
		}
		check(t, quiet)
		check(t, other)
	}
}

// What one node has cached another's change must drop; presence is withdrawn and
// shown wherever the sessions are.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	w := pair(t)
	w.Account("nurse@b.example")
	home, phone := w.Node.Login("romeo@a.example/home"), w.Other.Login("romeo@a.example/phone")
	juliet, nurse := w.Other.Login("juliet@a.example/balcony"), w.Other.Login("nurse@b.example/kitchen")
	all := []*routertest.Client{home, phone, juliet, nurse}
	for _, c := range all {
		c.Send("<presence/>")
	}
	phone.Send("<presence to='nurse@b.example/kitchen'/>")
	juliet.Send("<message to='romeo@a.example/phone' id='1'/>") // both lists are cached there
	for _, c := range all {
		c.Received()
	}

	home.Send(request("block", "juliet@a.example", "nurse@b.example"))
	check(t, home, "<iq type='result' id='1' to='romeo@a.example/home'/>")
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/home' type='unavailable'/>",
		"<presence to='juliet@a.example' from='romeo@a.example/phone' type='unavailable'/>")
	check(t, nurse, "<presence to='nurse@b.example/kitchen' from='romeo@a.example/phone' type='unavailable'/>")

	juliet.Send("<message to='romeo@a.example/phone' id='2'/>", "<presence><show>away</show></presence>")
	check(t, juliet, "<message from='romeo@a.example/phone' to='juliet@a.example/balcony' id='2' type='error'>"+
		"<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>",
		"<presence to='juliet@a.example' from='juliet@a.example/balcony'><show>away</show></presence>")
	phone.Send("<presence><show>xa</show></presence>")
	check(t, juliet)
	check(t, home, "<presence to='romeo@a.example' from='romeo@a.example/phone'><show>xa</show></presence>")
	check(t, phone, "<presence to='romeo@a.example' from='romeo@a.example/phone'><show>xa</show></presence>")

	home.Send(request("unblock", "juliet@a.example"))
	check(t, home, "<presence to='romeo@a.example' from='juliet@a.example/balcony'><show>away</show></presence>",
		"<iq type='result' id='1' to='romeo@a.example/home'/>")
	check(t, phone, "<presence to='romeo@a.example' from='juliet@a.example/balcony'><show>away</show></presence>")
	check(t, juliet, "<presence to='juliet@a.example' from='romeo@a.example/home'/>",
		"<presence to='juliet@a.example' from='romeo@a.example/phone'><show>xa</show></presence>")
	phone.Close()
	check(t, nurse)
}

// A full address hides one session of a contact from the account, and the
// account from that session.
func TestOneResource(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "a.example")
	befriend(t, w, "romeo", "juliet")
	romeo, balcony, garden := w.Login("romeo@a.example/home"), w.Login("juliet@a.example/balcony"), w.Login("juliet@a.example/garden")
	clients := []*routertest.Client{romeo, balcony, garden}
	for _, c := range clients {
		c.Send("<presence/>")
	}
	for _, c := range clients {
		c.Received()
	}
	romeo.Send(request("block", "juliet@a.example/garden"))
	check(t, romeo, "<iq type='result' id='1' to='romeo@a.example/home'/>")
	check(t, garden, "<presence to='juliet@a.example' from='romeo@a.example/home' type='unavailable'/>")
	check(t, balcony)
	romeo.Send("<presence id='a'/>")
	check(t, romeo, "<presence to='romeo@a.example' from='romeo@a.example/home' id='a'/>")
	check(t, balcony, "<presence to='juliet@a.example' from='romeo@a.example/home' id='a'/>")
	check(t, garden)
	garden.Send("<presence id='b'/>")
	check(t, balcony, "<presence to='juliet@a.example' from='juliet@a.example/garden' id='b'/>")
	check(t, romeo)
	romeo.Close()
	check(t, balcony, "<presence to='juliet@a.example' from='romeo@a.example/home' type='unavailable'/>")
	check(t, garden, "<presence to='juliet@a.example' from='juliet@a.example/garden' id='b'/>")
}

// An account that goes leaves no blocklist to a later one of that name.
func TestRemoved(t *testing.T) {
	t.Parallel()
	w := pair(t)
	romeo := w.Node.Login("romeo@a.example/home")
	juliets := []*routertest.Client{w.Node.Login("juliet@a.example/balcony"), w.Other.Login("juliet@a.example/garden")}
	romeo.Send(request("block", "juliet@a.example"))
	for _, c := range juliets {
		c.Send("<message to='romeo@a.example/home' id='1'/>")
		if !strings.Contains(c.Received(), "service-unavailable") {
			t.Error("the message was not refused")
		}
	}
	romeo.Close()
	w.Remove("romeo@a.example")
	w.Account("romeo@a.example")
	romeo = w.Node.Login("romeo@a.example/home")
	for _, c := range juliets {
		c.Received()
		c.Send("<message to='romeo@a.example/home' id='2'/>")
		check(t, romeo, "<message from='"+c.JID.String()+"' to='romeo@a.example/home' id='2'/>")
		check(t, c)
	}
}

// While the database does not answer nothing passes, and the sender may try
// again.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "a.example")
	befriend(t, w, "romeo", "juliet")
	romeo := w.Login("romeo@a.example/home")
	w.Login("juliet@a.example/balcony")
	w.DB.Close()
	for _, s := range []string{
		"<message to='juliet@a.example/balcony' id='1'/>", "<presence to='juliet@a.example/balcony' id='2'/>",
		"<iq type='get' id='3' to='juliet@a.example/balcony'><x xmlns='urn:x'/></iq>", request("block", "x"),
		"<iq type='get' id='5'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
	} {
		romeo.Send(s)
		if got := romeo.Received(); !strings.Contains(got, "<error type='wait'><internal-server-error ") {
			t.Errorf("%s: %s", s, got)
		}
	}
}

// Whatever sessions block and unblock at the same time, all know in the end; and
// a contact whom sessions of one node block and unblock sees it in that order.
func TestRace(t *testing.T) {
	t.Parallel()
	w := pair(t)
	clients := []*routertest.Client{follower(w.Node, "romeo@a.example/1"), follower(w.Node, "romeo@a.example/2"), follower(w.Other, "romeo@a.example/3")}
	juliet := w.Other.Login("juliet@a.example/balcony")
	juliet.Send("<presence/>")
	clients[0].Send("<presence/>")
	var wg sync.WaitGroup
	for i, c := range clients {
		whom := "juliet@a.example"
		if i == 2 {
			whom = "paris@x"
		}
		wg.Go(func() {
			for n := range 20 {
				c.Send(request("block", fmt.Sprintf("x%d@x", (n+i)%5), whom))
				c.Send(request("unblock", fmt.Sprintf("x%d@x", (n*3+i)%5), whom))
			}
		})
	}
	wg.Wait()
	clients[0].Send(request("unblock"))
	clients[0].Send(request("block", "last@x"))
	for _, c := range clients {
		known := map[string]bool{}
		for line := range strings.Lines(c.Received()) {
			switch {
			case !strings.Contains(line, "type='set'"):
			case strings.Contains(line, "<unblock xmlns='urn:xmpp:blocking'/>"):
				clear(known)
			default:
				for _, item := range regexp.MustCompile(`jid='([^']*)'`).FindAllStringSubmatch(line, -1) {
					known[item[1]] = strings.Contains(line, "<block ")
				}
			}
		}
		for item, on := range known {
			if on != (item == "last@x") {
				t.Errorf("%s believes that %s is blocked: %v", c.JID, item, on)
			}
		}
	}
	if got := juliet.Received(); !strings.HasSuffix(got, "from='romeo@a.example/1'/>\n") {
		t.Errorf("juliet does not see romeo in the end:\n%s", got)
	}
}

func report(t *testing.T, c *routertest.Client, who, report string) {
	t.Helper()
	c.Send("<iq type='set' id='1'><block xmlns='urn:xmpp:blocking'><item jid='" + who + "'>" + report + "</item></block></iq>")
	check(t, c, "<iq type='result' id='1' to='"+c.JID.String()+"'/>")
}

func TestReports(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "a.example", "b.example")
	befriend(t, w, "romeo")
	noErrors(t, w)
	romeo := w.Login("romeo@a.example/home")
	report(t, romeo, "tybalt@x/street", `<report xmlns="urn:xmpp:reporting:1" reason="urn:xmpp:reporting:spam">
		<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@a.example' id='28482-98726-73623'/>
		<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@a.example'/>
		<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@a.example' id='38383&amp;'/>
		<text xml:lang="en"> Never came trouble
	to my &lt;house&gt; like this. </text><text xml:lang='de'>`+strings.Repeat("ü", 4096)+`</text><text>too much</text><report-origin/></report>`)
	for _, ignored := range []string{
		`<report xmlns="urn:xmpp:reporting:1"/>`, `<report xmlns="urn:xmpp:reporting:1" reason=""/>`,
		`<report xmlns="urn:xmpp:reporting:0"><spam/></report>`, `<report xmlns="urn:xmpp:reporting:1" reason="` + strings.Repeat("x", 256) + `"/>`,
	} {
		report(t, romeo, "paris@x", ignored)
	}
	report(t, romeo, "paris@x", `<report xmlns="urn:xmpp:reporting:1" reason="urn:x:unknown"><third-party/></report>`)

	all, err := w.DB.Reports(t.Context(), storage.AllReports, 0, 10)
	if err != nil || len(all) != 2 {
		t.Fatalf("%d reports, %v", len(all), err)
	}
	first, second := all[0], all[1]
	want := storage.Report{
		ID: first.ID, Created: first.Created, Reporter: jid.MustParse("romeo@a.example"), Reported: jid.MustParse("tybalt@x/street"),
		Reason: "urn:xmpp:reporting:spam", ToOrigin: true,
		Messages: []storage.StanzaID{{By: "romeo@a.example", ID: "28482-98726-73623"}, {By: "romeo@a.example", ID: "38383&"}},
		Texts:    []storage.ReportText{{Lang: "en", Text: "Never came trouble\n\tto my <house> like this."}},
	}
	used := len(want.Texts[0].Text) + len("en") + len("de")
	want.Texts = append(want.Texts, storage.ReportText{Lang: "de", Text: strings.Repeat("ü", (4096-used)/2)})
	if diff := cmp.Diff(want, first, cmp.Comparer(func(a, b jid.JID) bool { return a == b })); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if second.Reason != "urn:x:unknown" || !second.ThirdParty || second.ToOrigin {
		t.Errorf("report is %+v", second)
	}
}

// A flood of reports blocks, and is not kept.
func TestTooManyReports(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "a.example")
	befriend(t, w, "romeo")
	romeo := w.Login("romeo@a.example/home")
	for i := range 25 {
		report(t, romeo, fmt.Sprintf("x%d@x", i), `<report xmlns="urn:xmpp:reporting:1" reason="urn:xmpp:reporting:spam"/>`)
	}
	if all, err := w.DB.Reports(t.Context(), storage.AllReports, 0, 100); len(all) != 20 || err != nil {
		t.Errorf("%d reports are kept, want 20: %v", len(all), err)
	}
	if out, err := w.Call("get_blocklist", "romeo", "a.example"); strings.Count(out, "\n") != 24 || err != nil {
		t.Errorf("blocked, %v:\n%s", err, out)
	}
	if n := strings.Count(w.Logs.String(), "reports left out"); n != 5 {
		t.Errorf("logged %d times", n)
	}
}

func TestCommands(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, list, "a.example")
	befriend(t, w, "romeo")
	romeo := w.Login("romeo@a.example/home")
	report(t, romeo, "tybalt@x", `<report xmlns="urn:xmpp:reporting:1" reason="urn:xmpp:reporting:spam"><text>swords
		and daggers</text><stanza-id xmlns='urn:xmpp:sid:0' by='romeo@a.example' id='1'/></report>`)
	report(t, romeo, "paris@x", `<report xmlns="urn:xmpp:reporting:1" reason="urn:xmpp:reporting:abuse"/>`)
	stamp := regexp.MustCompile(`\d{4}-\d\d-\d\dT[0-9:.]+Z`)

	for _, tt := range []struct{ call, want string }{
		{"get_blocklist romeo a.example", "paris@x\ntybalt@x"},
		{"get_blocklist nobody a.example", "error: not_found: no account nobody@a.example"},
		{"get_blocklist romeo b.example", "error: unknown_host: Unknown virtual host"},
		{"list_reports", "1\tT\tromeo@a.example\ttybalt@x\turn:xmpp:reporting:spam\t1\topen\tswords   and daggers\t0\n" +
			"2\tT\tromeo@a.example\tparis@x\turn:xmpp:reporting:abuse\t0\topen\t\t0"},
		{"list_reports closed", ""},
		{"list_reports new", `error: state must be open, closed or all, not "new"`},
		{"close_report 1 warned", ""},
		{"close_report 1", "error: not_found: there is no open report 1"},
		{"close_report 7", "error: not_found: there is no open report 7"},
		{"list_reports open", "2\tT\tromeo@a.example\tparis@x\turn:xmpp:reporting:abuse\t0\topen\t\t0"},
		{"export_reports closed", `[{"id":1,"time":"T","reporter":"romeo@a.example","reported":"tybalt@x","reason":"urn:xmpp:reporting:spam",` +
			`"texts":[{"text":"swords\n\t\tand daggers"}],"messages":[{"by":"romeo@a.example","id":"1"}],` +
			`"to_origin":false,"third_party":false,"state":"closed","closed":"T","comment":"warned"}]`},
		{"export_reports", `[{"id":2,"time":"T","reporter":"romeo@a.example","reported":"paris@x","reason":"urn:xmpp:reporting:abuse",` +
			`"to_origin":false,"third_party":false,"state":"open"}]`},
	} {
		got, err := w.Call(strings.Fields(tt.call)...)
		if err != nil {
			got = "error: " + err.Error()
		}
		if diff := cmp.Diff(tt.want, stamp.ReplaceAllString(got, "T")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.call, diff)
		}
	}
}
