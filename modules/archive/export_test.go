package archive_test

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
)

// exported is what is exported of Romeo.
func (w kept) exported() string {
	w.T.Helper()
	var b strings.Builder
	if err := w.Tables.Export(w.T.Context(), jid.MustParse("romeo@capulet.lit"), &b); err != nil {
		w.T.Fatal(err)
	}
	return b.String()
}

// An archive that is read in several steps is exported whole, as XML that anybody can
// read.
func TestExport(t *testing.T) {
	t.Parallel()
	w := keeping(t, nil)
	w.add("romeo@capulet.lit", "nurse@capulet.lit", 1201)
	counts, ids := map[string]int{}, map[string]bool{}
	for d := xml.NewDecoder(strings.NewReader("<user>" + w.exported() + "</user>")); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok {
			counts[e.Name.Space+" "+e.Name.Local]++
			if e.Name.Local == "result" {
				ids[e.Attr[1].Value] = true
			}
		}
	}
	want := map[string]int{
		" user": 1, "urn:xmpp:pie:0#mam archive": 1, "urn:xmpp:mam:2 result": 1201, "urn:xmpp:forward:0 forwarded": 1201,
		"urn:xmpp:delay delay": 1201, "jabber:client message": 1201, "jabber:client body": 1201,
	}
	if diff := cmp.Diff(want, counts); diff != "" || len(ids) != 1201 {
		t.Errorf("%d ids, elements (-want +got):\n%s", len(ids), diff)
	}
	var steps []int64
	ctx := command.WithProgress(t.Context(), func(done, of int64) { steps = append(steps, done, of) })
	err := w.Tables.Export(ctx, jid.MustParse("romeo@capulet.lit"), io.Discard)
	if n := len(steps); err != nil || n < 4 || steps[0] == 1201 || steps[n-2] != 1201 || slices.Max(steps) != 1201 {
		t.Errorf("its progress is %v, %v", steps, err)
	}
}

// Preferences are exported as clients see them, if there are any (XEP-0441).
func TestExportPreferences(t *testing.T) {
	t.Parallel()
	w := keeping(t, nil)
	const archive = "<archive xmlns='urn:xmpp:pie:0#mam'>\n</archive>\n"
	if got := w.exported(); got != archive {
		t.Errorf("of who has nothing: %s", got)
	}
	set := prefs("roster", []string{"juliet@capulet.lit"}, []string{"nurse@capulet.lit/&lt;&amp;"})
	w.IQ("romeo@capulet.lit/orchard", "<iq type='set' id='p'>"+set+"</iq>")
	if diff := cmp.Diff(set+"\n"+archive, w.exported()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// full takes so many bytes.
type full int

func (f *full) Write(p []byte) (int, error) {
	if *f -= full(len(p)); *f < 0 {
		return 0, errFull
	}
	return len(p), nil
}

var errFull = errors.New("disk full")

// An export that cannot be written fails, wherever that happens.
func TestExportFails(t *testing.T) {
	t.Parallel()
	w := keeping(t, nil)
	w.add("romeo@capulet.lit", "nurse@capulet.lit", 3)
	size := len(w.exported())
	for _, n := range []int{0, 10, 50, size / 2, size - 1, size} {
		room := full(n)
		err := w.Tables.Export(t.Context(), jid.MustParse("romeo@capulet.lit"), &room)
		if n < size != errors.Is(err, errFull) {
			t.Fatalf("with room for %d bytes of %d: %v", n, size, err)
		}
	}
}
