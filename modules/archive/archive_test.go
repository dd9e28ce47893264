package archive_test

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/archive"
	"github.com/xmppd/xmppd/modules/internal/moduletest"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

func limits() config.Limits { return config.Limits{OutboxBytes: 2 << 20, UnackedBytes: 8 << 20} }

// contacts are a roster that is the same for everybody.
type contacts []string

func (c contacts) Has(_ context.Context, _, contact jid.JID) (bool, error) {
	return slices.Contains(c, contact.String()), nil
}

func list(db *sqlite.DB, r *router.Router) []modules.Module {
	m := archive.New(db, contacts{"juliet@localhost"}, nil, nil, limits)
	r.OnInvalidate("archive", m.Invalidated)
	return []modules.Module{m}
}

// world has Romeo and Juliet, who take messages to their bare addresses.
func world(t testing.TB) (w *routertest.World, romeo, juliet *routertest.Client) {
	t.Helper()
	w = routertest.New(t, list, "localhost")
	w.Account("romeo@localhost", "juliet@localhost")
	romeo, juliet = w.Login("romeo@localhost/home"), w.Login("juliet@localhost/balcony")
	for _, c := range []*routertest.Client{romeo, juliet} {
		w.Registry.SetPresence(c.Session, []byte("<presence/>"), 0)
	}
	return w, romeo, juliet
}

// rows are the rows of an archive, in order.
func rows(t testing.TB, w *routertest.World, owner string) (all []storage.Message) {
	t.Helper()
	q := storage.ArchiveQuery{Owner: jid.MustParse(owner), Limit: 1000}
	if err := w.DB.Archive(t.Context(), q, func(m *storage.Message) error { all = append(all, *m); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

var stanzaID = regexp.MustCompile(`<stanza-id [^>]*/>`)

// stamps are the addresses and ids of the stanza-ids in XML.
func stamps(xml string) (all []string) {
	part := regexp.MustCompile(`(?:by|id)='([^']*)'`)
	for _, e := range stanzaID.FindAllString(xml, -1) {
		var values []string
		for _, v := range part.FindAllStringSubmatch(e, -1) {
			values = append(values, v[1])
		}
		all = append(all, strings.Join(values, " "))
	}
	return all
}

const (
	body    = "<body>hi</body>"
	state   = "<composing xmlns='http://jabber.org/protocol/chatstates'/>"
	store   = "<store xmlns='urn:xmpp:hints'/>"
	noStore = "<no-store xmlns='urn:xmpp:hints'/>"
	noPerm  = "<no-permanent-store xmlns='urn:xmpp:hints'/>"
	event   = "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='urn:xmpp:mood'/></event>"
)

// What is archived is so for both, and delivered with the id of the recipient's
// copy; what is not is delivered without one.
func TestWhatIsArchived(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, attrs, children string
		want                  bool
	}{
		{"normal", "", body, true},
		{"chat", " type='chat'", body, true},
		{"unknown type is normal", " type='mood'", body, true},
		{"subject", "", "<subject>news</subject>", true},
		{"reaction", "", "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>x</reaction></reactions>", true},
		{"retraction", "", "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>", true},
		{"retraction that is not to be stored", "", "<retract xmlns='urn:xmpp:message-retract:1' id='1'/>" + noStore, true},
		{"retraction as it was", "", "<apply-to xmlns='urn:xmpp:fasten:0' id='1'><retract xmlns='urn:xmpp:message-retract:0'/></apply-to>", true},
		{"correction", "", "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>", true},
		{"marker", "", "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>", true},
		{"marker of old", "", "<acknowledged xmlns='urn:xmpp:chat-markers:0' id='1'/>", true},
		{"markable", "", "<markable xmlns='urn:xmpp:chat-markers:0'/>", false},
		{"receipt", "", "<received xmlns='urn:xmpp:receipts' id='1'/>", true},
		{"receipt wanted", "", "<request xmlns='urn:xmpp:receipts'/>", false},
		{"OMEMO", "", "<encrypted xmlns='eu.siacs.conversations.axolotl'/>", true},
		{"OMEMO 2", "", "<encrypted xmlns='urn:xmpp:omemo:2'/>", true},
		{"direct invitation", "", "<x xmlns='jabber:x:conference' jid='coven@chat.shakespeare.lit'/>", true},
		{"mediated invitation", "", "<x xmlns='http://jabber.org/protocol/muc#user'><invite/></x>", true},
		{"call", "", "<propose xmlns='urn:xmpp:jingle-message:0' id='1'/>", true},
		{"end of a call", "", "<finish xmlns='urn:xmpp:jingle-message:0' id='1'/>", true},
		{"ringing", "", "<ringing xmlns='urn:xmpp:jingle-message:0' id='1'/>", false},
		{"state", " type='chat'", state, false},
		{"state that is to be stored", " type='chat'", state + store, true},
		{"state and thread", " type='chat'", state + "<thread>t</thread>", false},
		{"no-store", "", body + noStore, false},
		{"no-permanent-store", "", body + noPerm, false},
		{"no-permanent-store and store", "", body + noPerm + store, false},
		{"event", "", event, false},
		{"event that is to be stored", "", event + store, false},
		{"event with text", "", event + body, true},
		{"out of an archive", "", body + "<result xmlns='urn:xmpp:mam:2' id='1'/>", false},
		{"headline", " type='headline'", body, false},
		{"groupchat", " type='groupchat'", body, false},
		{"error", " type='error'", body + "<error type='cancel'/>", false},
		{"error that is to be stored", " type='error'", store, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, romeo, juliet := world(t)
			romeo.Send("<message to='juliet@localhost/balcony'" + tt.attrs + ">" + tt.children + "</message>")
			got := juliet.Received()
			sent, received := rows(t, w, "romeo@localhost"), rows(t, w, "juliet@localhost")
			if !tt.want {
				if len(sent)+len(received) > 0 || strings.Contains(got, "stanza-id") || !strings.Contains(got, "<message") {
					t.Errorf("%d, %d rows, received %s", len(sent), len(received), got)
				}
				return
			}
			if len(sent) != 1 || len(received) != 1 {
				t.Fatalf("%d, %d rows", len(sent), len(received))
			}
			if want := "juliet@localhost " + received[0].StanzaID(); fmt.Sprint(stamps(got)) != fmt.Sprint([]string{want}) {
				t.Errorf("received %s, want %s", got, want)
			}
			for _, row := range []storage.Message{sent[0], received[0]} {
				want := "<message from='romeo@localhost/home' to='juliet@localhost/balcony'" + tt.attrs + ">" + tt.children + "</message>"
				if string(row.XML) != want {
					t.Errorf("archived %s, want %s", row.XML, want)
				}
			}
		})
	}
}

// Ids by an account that it has not been given by the server are removed, however its
// address is written, from what is archived and what is not (XEP-0359 §4).
func TestForgedIDs(t *testing.T) {
	t.Parallel()
	const other = "<stanza-id xmlns='urn:xmpp:sid:0' by='room@chat.localhost' id='x'/>"
	for _, by := range []string{
		"romeo@localhost", "ROMEO@localhost", "romeo@LocalHost", "romeo@localhost.", "&#114;omeo@localhost",
		"juliet@localhost", "Juliet@LOCALHOST", "ＪＵＬＩＥＴ@localhost",
	} {
		for _, content := range []string{body, state} {
			w, romeo, juliet := world(t)
			romeo.Send("<message to='juliet@localhost/balcony'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='" + by + "'/>" + content + other + "</message>")
			got := stamps(juliet.Received())
			want := []string{"room@chat.localhost x"}
			for _, row := range rows(t, w, "juliet@localhost") {
				want = append(want, "juliet@localhost "+row.StanzaID())
				if strings.Contains(string(row.XML), "id='1'") {
					t.Errorf("by %s: archived %s", by, row.XML)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("by %s, with %s: ids %q, want %q", by, content, got, want)
			}
		}
	}
	// Those of others stay: another account may have archived it, too.
	_, romeo, juliet := world(t)
	romeo.Send("<message to='juliet@localhost/balcony'><stanza-id xmlns='urn:xmpp:sid:0' id='1' by='juliet@localhost/balcony'/>" +
		"<stanza-id xmlns='urn:example' id='2' by='juliet@localhost'/>" + state + "</message>")
	if got := stamps(juliet.Received()); len(got) != 3 || got[0] != "1 juliet@localhost/balcony" || got[1] != "2 juliet@localhost" {
		t.Errorf("ids %q", got)
	}
}

// A message that goes to several sessions, or to oneself, stands once in each
// archive; one that its recipient refuses stands nowhere.
func TestOnceInEachArchive(t *testing.T) {
	t.Parallel()
	w, romeo, _ := world(t)
	for _, r := range []string{"tablet", "watch"} {
		w.Registry.SetPresence(w.Login("juliet@localhost/"+r).Session, []byte("<presence/>"), 0)
	}
	romeo.Send(
		"<message to='juliet@localhost' type='chat'>"+body+"</message>",
		"<message to='romeo@localhost' type='chat'>"+body+"</message>",
		"<message type='chat'>"+body+"</message>",
		"<message to='romeo@localhost/home' type='chat'>"+body+"</message>",
		"<message to='nobody@localhost' type='chat'>"+body+"</message>",
		"<message to='juliet@elsewhere.lit' type='chat'>"+body+"</message>",
		"<message to='localhost' type='chat'>"+body+"</message>",
	)
	if n := len(rows(t, w, "juliet@localhost")); n != 1 {
		t.Errorf("%d rows of the recipient", n)
	}
	own := rows(t, w, "romeo@localhost")
	if len(own) != 4 {
		t.Fatalf("%d rows of the sender", len(own))
	}
	var want []string
	for i, row := range own {
		if i > 0 {
			want = append(want, "romeo@localhost "+row.StanzaID())
		}
	}
	if got := stamps(romeo.Received()); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("ids %q, want %q", got, want)
	}
	for _, with := range []string{"romeo@localhost", "romeo@localhost/home", "romeo@localhost/elsewhere"} {
		if got := ask(romeo, nil, fmt.Sprintf(form, field("with", with))); !strings.HasPrefix(got, "hi hi hi first=") || !strings.HasSuffix(got, "count=3 complete") {
			t.Errorf("with %s: %s", with, got)
		}
	}
}

// Who is away gets the message later, out of the log, where it is archived, too; and
// a message that is sent again is recognised by its origin-id.
func TestAwayAndAgain(t *testing.T) {
	t.Parallel()
	w, romeo, juliet := world(t)
	juliet.Close()
	const first = "<message to='juliet@localhost' type='chat' id='1'>" + body + "<origin-id xmlns='urn:xmpp:sid:0' id='1'/></message>"
	romeo.Send(first, first)
	romeo.Send(first)
	romeo.Send(
		"<message to='juliet@localhost' type='chat' id='2'>"+body+"</message>",
		"<message to='juliet@localhost' type='chat' id='2'>"+body+"</message>",
	)
	if got := romeo.Received(); got != "" {
		t.Errorf("the sender is told %s", got)
	}
	for _, owner := range []string{"romeo@localhost", "juliet@localhost"} {
		if n := len(rows(t, w, owner)); n != 3 {
			t.Errorf("%d rows of %s", n, owner)
		}
	}
}

// What a session left behind was archived when it came.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	w := moduletest.New(t)
	w.Init(archive.New(nil, contacts{}, nil, nil, limits))
	for _, owed := range []bool{false, true} {
		f, err := w.Pass(modules.Received, modules.Archive, "juliet@capulet.lit/balcony", "<message to='romeo@capulet.lit'>"+body+"</message>",
			func(f *modules.Flight) { f.Row, f.Owed = new(storage.Message), owed })
		if err != nil || f.Row.Flags.Has(storage.Archived) == owed {
			t.Errorf("owed %v: flags %b, %v", owed, f.Row.Flags, err)
		}
	}
}

// The archive goes with the account: a later one of the same name finds nothing.
func TestErasure(t *testing.T) {
	t.Parallel()
	w, romeo, juliet := world(t)
	const metadata = "<iq type='get' id='m'><metadata xmlns='urn:xmpp:mam:2'/></iq>"
	romeo.Send("<message to='juliet@localhost'>"+body+"</message>", "<iq type='set' id='p'>"+prefs("roster", nil, nil)+"</iq>")
	id := rows(t, w, "romeo@localhost")[0].StanzaID()
	w.Remove("romeo@localhost")
	w.Account("romeo@localhost")
	if got := rows(t, w, "romeo@localhost"); len(got) != 0 {
		t.Errorf("%d rows are left", len(got))
	}
	romeo.Received()
	romeo.Send(metadata, "<iq type='get' id='p'><prefs xmlns='urn:xmpp:mam:2'/></iq>")
	if got := romeo.Received(); !strings.Contains(got, "<metadata xmlns='urn:xmpp:mam:2'/>") || !strings.Contains(got, "default='always'") {
		t.Errorf("told %s", got)
	}
	if got := ask(romeo, []string{id}, fmt.Sprintf(form, field("ids", id))); got != "item-not-found" {
		t.Errorf("a former message: %s", got)
	}
	if got := rows(t, w, "juliet@localhost"); len(got) != 1 {
		t.Errorf("%d rows of the other side", len(got))
	}
	juliet.Received()
}
