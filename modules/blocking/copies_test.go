package blocking_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/internal/routertest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/modules/blocking"
	"github.com/xmppd/xmppd/modules/roster"
	"github.com/xmppd/xmppd/router"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// archived stores a message in an archive and returns its id.
func archived(t *testing.T, w *routertest.World, owner, body string) string {
	t.Helper()
	peer := jid.MustParse("tybalt@x")
	m := &storage.Message{
		Owner: jid.MustParse(owner), Peer: peer, Chat: peer, Flags: storage.Archived,
		Arrived: time.Date(2026, 7, 14, 23, 8, 25, 0, time.UTC), XML: []byte("<message><body>" + body + "</body></message>"),
	}
	run := &storage.Run{Writes: []storage.Write{m}}
	w.DB.Join(run)
	run.Wait()
	if err := run.Errs[0]; err != nil {
		t.Fatal(err)
	}
	return m.StanzaID()
}

// A report keeps the messages that it names out of the archive of whoever reports
// them, and no others.
func TestReportCopies(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, func(db *sqlite.DB, r *router.Router) []modules.Module {
		m := blocking.New(db, roster.New(db, limits))
		m.Archive = db
		return []modules.Module{m}
	}, "a.example")
	w.Account("romeo@a.example", "juliet@a.example")
	noErrors(t, w)
	const owner = "romeo@a.example"
	first, other, second := archived(t, w, owner, "swords"), archived(t, w, owner, "not named"), archived(t, w, owner, "&amp;c")
	large, last := archived(t, w, owner, strings.Repeat("x", 65000)), archived(t, w, owner, strings.Repeat("y", 10000))
	theirs := archived(t, w, "juliet@a.example", "secret")
	seq, tag, _ := storage.ParseStanzaID(other)
	guessed := string(storage.AppendStanzaID(nil, seq, tag+1))

	var ids strings.Builder
	for _, id := range [][2]string{
		{owner, second}, {"Romeo@A.example", first}, {owner, first}, {owner, guessed}, {owner, theirs},
		{"juliet@a.example", other}, {"", other}, {"@", other}, {owner, "nonsense"}, {owner, large}, {owner, last},
	} {
		ids.WriteString("<stanza-id xmlns='urn:xmpp:sid:0' by='" + id[0] + "' id='" + id[1] + "'/>")
	}
	romeo := w.Login("romeo@a.example/home")
	report(t, romeo, "tybalt@x", "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>"+ids.String()+"</report>")
	out, err := w.Call("export_reports")
	if err != nil {
		t.Fatal(err)
	}
	var reports []struct {
		Copies []storage.ReportCopy `json:"copies"`
	}
	if err := json.Unmarshal([]byte(out), &reports); err != nil || len(reports) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	at := time.Date(2026, 7, 14, 23, 8, 25, 0, time.UTC)
	want := []storage.ReportCopy{
		{ID: first, Arrived: at, XML: "<message><body>swords</body></message>"},
		{ID: second, Arrived: at, XML: "<message><body>&amp;c</body></message>"},
		{ID: large, Arrived: at, XML: "<message><body>" + strings.Repeat("x", 65000) + "</body></message>"},
	} // the last one has no room
	if diff := cmp.Diff(want, reports[0].Copies); diff != "" {
		t.Errorf("copies (-want +got):\n%s", diff)
	}
	if line, err := w.Call("list_reports"); err != nil || !strings.HasSuffix(line, "\topen\t\t3") {
		t.Errorf("%v: %s", err, line)
	}
}

// failing is an archive that cannot be read.
type failing struct{}

func (failing) ArchiveRows(context.Context, jid.JID, []int64) ([]storage.Message, error) {
	return nil, errors.New("no archive")
}

// Whoever reports what cannot be read blocks all the same.
func TestReportWithoutArchive(t *testing.T) {
	t.Parallel()
	w := routertest.New(t, func(db *sqlite.DB, r *router.Router) []modules.Module {
		m := blocking.New(db, roster.New(db, limits))
		m.Archive = failing{}
		return []modules.Module{m}
	}, "a.example")
	w.Account("romeo@a.example")
	id := archived(t, w, "romeo@a.example", "swords")
	report(t, w.Login("romeo@a.example/home"), "tybalt@x", "<report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>"+
		"<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@a.example' id='"+id+"'/></report>")
	if line, err := w.Call("list_reports"); err != nil || !strings.HasSuffix(line, "\t1\topen\t\t0") {
		t.Errorf("%v: %s", err, line)
	}
	if !strings.Contains(w.Logs.String(), "no archive") {
		t.Error("nobody was told")
	}
}
