package node_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/xmppd/xmppd/internal/xmpptest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

const (
	romeoAgent = "d4565fa7-4d72-4749-b3d3-740edbf87770"
	// secret is a word that stands in Romeo's data alone. The index of words may leave
	// out its beginning.
	secret, secretTail = "qvzxkwortel", "zxkwortel"
)

// life is a server with everything that it can store about Romeo.
type life struct {
	*xmpptest.Server
	t     *testing.T
	run   func(words ...string) string // an admin command
	db    *sqlite.DB
	raw   *sql.DB
	phone *xmpptest.Client // Romeo's; lost, and its stream can be resumed
}

func newLife(t *testing.T) *life {
	path := filepath.Join(t.TempDir(), "life.db")
	db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, Durability: "normal"})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(raw.Close(), db.Close()); err != nil {
			t.Error(err)
		}
	})
	l := &life{Server: xmpptest.Start(t, xmpptest.Options{DB: db}), t: t, db: db, raw: raw}
	l.run = console(t, l.Server)
	l.live()
	return l
}

// asks sends IQs, which must succeed.
func asks(t *testing.T, c *xmpptest.Client, payloads ...string) {
	t.Helper()
	for _, p := range payloads {
		c.Send("<iq type='set' id='asks'>" + p + "</iq>")
		c.Expect("<iq type='result' id='asks' to='" + c.JID.String() + "'/>")
	}
}

// live has things happen to Romeo, and others store their own copies of them.
func (l *life) live() {
	t := l.t
	juliet, nurse := l.Login(t, xmpptest.TCP, "juliet@localhost/balcony"), l.Login(t, xmpptest.TCP, "nurse@localhost/kitchen")
	home := l.Login(t, xmpptest.WebSocket, "romeo@localhost/home")
	l.loginPhone()
	for _, who := range [][2]string{{"romeo", "juliet"}, {"juliet", "romeo"}} {
		l.run("add_rosteritem", who[0], "localhost", who[1], "localhost", "<J> & 'co'", "Friends", "both")
	}
	item := func(attrs string) string {
		return "<query xmlns='jabber:iq:roster'><item jid='" + secret + attrs + "/></query>"
	}
	asks(t, home, item("@verona.example' name='"+secret+"'"), item(".gone@verona.example'"),
		item(".gone@verona.example' subscription='remove'"))
	home.Send("<iq type='set' id='prefs'><prefs xmlns='urn:xmpp:mam:2' default='always'><always/><never><jid>" + secret + "@verona.example</jid></never></prefs></iq>")
	home.Next()

	// Of the notes and of what nobody archives there is one copy, of the rest two.
	l.phone.Send("<message to='romeo@localhost' type='chat' id='note'><body>" + secret + " &lt;3 &amp; 'peace'</body></message>")
	l.phone.Sync()
	home.Send("<message to='juliet@localhost' type='chat' id='m1'><body>shared</body></message>")
	home.Sync()
	juliet.Send("<message to='romeo@localhost' type='chat' id='m2'><body>shared, too</body></message>")
	juliet.Sync()
	const hint = "<no-permanent-store xmlns='urn:xmpp:hints'/></message>"
	nurse.Send("<message to='romeo@localhost' type='chat' id='m3'><body>" + secret + "</body>" + hint)
	nurse.Send("<message to='" + l.phone.JID.String() + "' type='chat' id='m4'><body>" + secret + "</body>" + hint)
	nurse.Send("<presence type='subscribe' to='romeo@localhost' id='ask'><status>" + secret + "?</status></presence>")
	nurse.Sync()

	report := func(jid, inside string) string {
		return "<block xmlns='urn:xmpp:blocking'><item jid='" + jid + "'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>" +
			inside + "</report></item></block>"
	}
	asks(t, home, report(secret+"@spam.example", "<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@localhost' id='"+l.note().StanzaID()+"'/><text>"+secret+"</text>"))
	asks(t, nurse, report("romeo@localhost", "<text>He climbs walls.</text>"))
	home.Close()
	l.phone.DropDetached()
	l.run("set_last", "romeo", "localhost", "1784070505", secret)
	err := l.db.SaveSnapshots(t.Context(), []storage.Snapshot{{
		Stream: storage.Stream{ID: "stopped", Owner: jid.MustParse("romeo@localhost"), Until: time.Now().Add(time.Hour)}, Data: []byte(secret),
	}})
	if err != nil {
		t.Fatal(err)
	}
	words := func(xml []byte) []string {
		return strings.FieldsFunc(string(xml), func(r rune) bool { return !unicode.IsLetter(r) })
	}
	if _, err := l.db.IndexTexts(t.Context(), 1000, words); err != nil {
		t.Fatal(err)
	}
}

// loginPhone logs in with a token for the next time, and stream management.
func (l *life) loginPhone() {
	l.phone = l.Dial(l.t, xmpptest.TCP)
	l.phone.Secure()
	_, err := l.phone.SASL2(xmpptest.Request{
		User: "romeo", Agent: romeoAgent, Token: "HT-SHA-256-EXPR", Bind: &xmpptest.Bind{Tag: "phone", Manage: true},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.phone.AnswerAcks(false)
}

// note is what Romeo has written to himself.
func (l *life) note() *storage.Message {
	var note *storage.Message
	err := l.db.Archive(l.t.Context(), storage.ArchiveQuery{Owner: jid.MustParse("romeo@localhost"), Limit: 1}, func(m *storage.Message) error {
		note = m
		return nil
	})
	if err != nil || note == nil {
		l.t.Fatalf("no note: %v", err)
	}
	return note
}

// What is exported is all that is stored for the person, in the form of XEP-0227, and
// no secret of the login.
func TestExportUser(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	path := filepath.Join(t.TempDir(), "romeo.xml")
	if got := l.run("export_user", "romeo", "localhost", path); !strings.HasSuffix(got, " bytes written to "+path) {
		t.Fatal(got)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	xml, ok := strings.CutPrefix(string(file), "<?xml version='1.0' encoding='UTF-8'?>\n")
	got, err := xmpptest.Parse(xml)
	if !ok || err != nil || len(got) != 1 {
		t.Fatalf("%v in\n%s", err, file)
	}
	result := func(message string) string {
		return "<result xmlns='urn:xmpp:mam:2' id='{any}'><forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='{any}'/>" +
			strings.Replace(message, "<message ", "<message xmlns='jabber:client' ", 1) + "</forwarded></result>"
	}
	want, err := xmpptest.Parse("<server-data xmlns='urn:xmpp:pie:0'><host jid='localhost'><user name='romeo'>" +
		"<user-agent xmlns='urn:xmpp:sasl:2' id='" + romeoAgent + "'><software>xmpptest</software><device>test</device></user-agent>" +
		"<query xmlns='jabber:iq:roster'>" +
		"<item jid='juliet@localhost' name='&lt;J&gt; &amp; &apos;co&apos;' subscription='both'><group>Friends</group></item>" +
		"<item jid='" + secret + "@verona.example' name='" + secret + "' subscription='none'/></query>" +
		"<presence xmlns='jabber:client' type='subscribe' from='nurse@localhost' to='romeo@localhost' id='ask' xml:lang='en'><status>" + secret + "?</status></presence>" +
		"<blocklist xmlns='urn:xmpp:blocking'><item jid='" + secret + "@spam.example'/></blocklist>" +
		"<block xmlns='urn:xmpp:blocking'><item jid='" + secret + "@spam.example'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@localhost' id='" + l.note().StanzaID() + "'/><text>" + secret + "</text>" +
		"<delay xmlns='urn:xmpp:delay' stamp='{any}'/></report></item></block>" +
		"<offline-messages><message xmlns='jabber:client' from='nurse@localhost/kitchen' to='romeo@localhost' type='chat' id='m3' xml:lang='en'><body>" + secret + "</body>" +
		"<no-permanent-store xmlns='urn:xmpp:hints'/><delay xmlns='urn:xmpp:delay' from='localhost' stamp='{any}'/></message></offline-messages>" +
		"<inbox xmlns='urn:xmpp:inbox:1'><entry unread='1' jid='juliet@localhost' id='{any}'/>" +
		"<entry unread='0' jid='romeo@localhost' id='" + l.note().StanzaID() + "'/></inbox>" +
		"<prefs xmlns='urn:xmpp:mam:2' default='always'><always/><never><jid>" + secret + "@verona.example</jid></never></prefs>" +
		"<archive xmlns='urn:xmpp:pie:0#mam'>" +
		result("<message from='"+l.phone.JID.String()+"' to='romeo@localhost' type='chat' id='note' xml:lang='en'><body>"+secret+" &lt;3 &amp; 'peace'</body></message>") +
		result("<message from='romeo@localhost/home' to='juliet@localhost' type='chat' id='m1' xml:lang='en'><body>shared</body></message>") +
		result("<message from='juliet@localhost/balcony' to='romeo@localhost' type='chat' id='m2' xml:lang='en'><body>shared, too</body></message>") +
		"</archive><presence xmlns='jabber:client' type='unavailable'><status>" + secret + "</status>" +
		"<delay xmlns='urn:xmpp:delay' stamp='2026-07-14T23:08:25Z'/></presence></user></host></server-data>")
	if err != nil {
		t.Fatal(err)
	}
	if !xmpptest.Match(want[0], got[0], xmpptest.Vars{}) {
		t.Errorf("exported\n%s\nwant\n%s", got[0], want[0])
	}
	if got := l.run("export_user", "nobody", "localhost", path+"2"); got != "Error: not_found: User nobody@localhost is not registered" {
		t.Error(got)
	}
}

// tableRow is a row of the database file.
type tableRow struct {
	table  string
	owners []int64 // to whom it belongs, nil: to nobody
	text   string  // all of its values
}

func (r tableRow) of(owner int64) bool { return slices.Contains(r.owners, owner) }

// rows is every row of every table.
func (l *life) rows() (all []tableRow) {
	l.t.Helper()
	var tables []string
	l.each("SELECT name FROM sqlite_master WHERE type = 'table'", func(_ []string, values []any) {
		tables = append(tables, values[0].(string))
	})
	for _, table := range tables {
		l.each("SELECT * FROM "+table, func(columns []string, values []any) {
			r := tableRow{table: table}
			for i, v := range values {
				if b, ok := v.([]byte); ok {
					v = string(b)
				}
				r.text += fmt.Sprintln(v)
				id, _ := v.(int64)
				switch {
				case slices.Contains([]string{"owner", "owner1", "owner2", "reporter", "archive"}, columns[i]), table == "owner" && columns[i] == "id":
					r.owners = append(r.owners, id)
				case table == "message" && columns[i] == "id":
					r.owners = append(r.owners, id>>32)
				}
			}
			all = append(all, r)
		})
	}
	return all
}

func (l *life) each(query string, fn func(columns []string, values []any)) {
	l.t.Helper()
	rows, err := l.raw.Query(query)
	if err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	for err == nil && rows.Next() {
		values := make([]any, len(columns))
		pointers := make([]any, len(columns))
		for i := range values {
			pointers[i] = &values[i]
		}
		if err = rows.Scan(pointers...); err == nil {
			fn(columns, values)
		}
	}
	if err := errors.Join(err, rows.Err()); err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
}

func (l *life) number(query string) (n int64) {
	l.t.Helper()
	if err := l.raw.QueryRow(query).Scan(&n); err != nil {
		l.t.Fatalf("%s: %v", query, err)
	}
	return n
}

// When an account is removed nothing of it is left in the file, but what others have
// of it.
func TestErasure(t *testing.T) {
	t.Parallel()
	l := newLife(t)
	romeo := l.number("SELECT id FROM owner WHERE jid = 'romeo@localhost'")
	const found = "SELECT count(*) FROM word WHERE word MATCH '" + secret + "'"
	l.expectEverything(romeo)
	if l.number(found) == 0 {
		t.Error("the note is not in the index")
	}

	if got := l.run("unregister", "romeo", "localhost"); got != "" {
		t.Fatal(got)
	}
	l.phone.Gone()
	if n := l.number(found); n != 0 {
		t.Errorf("%d notes are found", n)
	}
	// What is deleted from the index of words leaves the file with the next merge of its
	// segments.
	if _, err := l.raw.Exec("INSERT INTO word (word) VALUES ('optimize')"); err != nil {
		t.Fatal(err)
	}
	others := make(map[string]bool) // tables in which others have something about Romeo
	for _, r := range l.rows() {
		switch {
		case r.of(romeo):
			t.Errorf("%s still has of Romeo:\n%s", r.table, r.text)
		case strings.Contains(r.text, secretTail):
			t.Errorf("%s still has what only Romeo had:\n%s", r.table, r.text)
		case strings.Contains(r.text, "romeo@localhost") && len(r.owners) == 0:
			t.Errorf("%s still has Romeo's address:\n%s", r.table, r.text)
		case strings.Contains(r.text, "romeo@localhost"):
			others[r.table] = true
		}
	}
	for _, table := range []string{"blocklist", "chat", "message", "report", "roster"} {
		if !others[table] {
			t.Errorf("others have lost what they had about Romeo in %s", table)
		}
	}
	if got := l.run("export_user", "romeo", "localhost", filepath.Join(t.TempDir(), "x")); got != "Error: not_found: User romeo@localhost is not registered" {
		t.Error(got)
	}
}

// expectEverything proves that the test looks at all tables that hold anything of
// accounts: each has a row of Romeo's. Where there is room for words there is the
// secret.
func (l *life) expectEverything(romeo int64) {
	l.t.Helper()
	has, hasSecret := make(map[string]bool), make(map[string]bool)
	for _, r := range l.rows() {
		if r.of(romeo) {
			has[r.table] = true
			hasSecret[r.table] = hasSecret[r.table] || strings.Contains(r.text, secret)
		} else if r.table == "word_data" {
			hasSecret[r.table] = hasSecret[r.table] || strings.Contains(r.text, secretTail)
		} else if strings.Contains(r.text, secret) {
			l.t.Errorf("in %s it is not Romeo who has the secret:\n%s", r.table, r.text)
		}
	}
	l.each("SELECT m.name FROM sqlite_master m WHERE type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_info(m.name) WHERE name IN ('owner', 'owner1', 'reporter'))",
		func(_ []string, values []any) {
			if table := values[0].(string); !has[table] {
				l.t.Errorf("nothing is stored about Romeo in %s", table)
			}
		})
	for _, table := range []string{"blocklist", "kv", "message", "report", "roster", "roster_removal", "stream", "word_data"} {
		if !hasSecret[table] {
			l.t.Errorf("%s has no secret of Romeo's", table)
		}
	}
}
