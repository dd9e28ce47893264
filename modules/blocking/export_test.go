package blocking

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// reported is a store in which every second of the reports is Romeo's.
type reported struct {
	memory
	reports int
}

func (s *reported) Reports(_ context.Context, state storage.ReportState, after int64, limit int) (rows []storage.Report, err error) {
	for id := after + 1; id <= int64(s.reports) && len(rows) < limit; id++ {
		reporter := "romeo@capulet.lit"
		if id%2 == 0 {
			reporter = "juliet@capulet.lit"
		}
		rows = append(rows, storage.Report{
			ID: id, Reporter: jid.MustParse(reporter), Reported: jid.MustParse("tybalt@x"), Reason: "urn:xmpp:reporting:spam",
			Created: time.Unix(id, 0), Closed: time.Unix(id, 0), Comment: "not his",
		})
	}
	if len(rows) > 0 && rows[0].ID == 1 {
		rows[0].Texts = []storage.ReportText{{Text: "<&>"}, {Lang: "it", Text: "'ladro'"}}
		rows[0].Messages = []storage.StanzaID{{By: "romeo@capulet.lit", ID: "1"}}
		rows[0].Copies = []storage.ReportCopy{{ID: "1", XML: "<message/>"}}
		rows[0].ToOrigin, rows[0].ThirdParty = true, true
	}
	if state != storage.AllReports {
		return nil, fmt.Errorf("asked for the reports of state %d", state)
	}
	return rows, nil
}

func TestExport(t *testing.T) {
	t.Parallel()
	const first = "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@x'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>" +
		"<stanza-id xmlns='urn:xmpp:sid:0' by='romeo@capulet.lit' id='1'/><text>&lt;&amp;&gt;</text><text xml:lang='it'>'ladro'</text>" +
		"<report-origin/><third-party/><delay xmlns='urn:xmpp:delay' stamp='1970-01-01T00:00:01Z'/></report></item></block>\n"
	const other = "<block xmlns='urn:xmpp:blocking'><item jid='tybalt@x'><report xmlns='urn:xmpp:reporting:1' reason='urn:xmpp:reporting:spam'>" +
		"<delay xmlns='urn:xmpp:delay' stamp='1970-01-01T00:00:03Z'/></report></item></block>\n"
	for _, tt := range []struct {
		blocked []string
		reports int
		want    string
		blocks  int // at least want's
	}{
		{nil, 0, "", 0},
		{[]string{"x", "a@x/o'hara"}, 0, "<blocklist xmlns='urn:xmpp:blocking'><item jid='a@x/o&apos;hara'/><item jid='x'/></blocklist>\n", 0},
		{[]string{"x"}, 4, "<blocklist xmlns='urn:xmpp:blocking'><item jid='x'/></blocklist>\n" + first + other, 2},
		{nil, 2*exportPage + 1, first + other, exportPage + 1},
		{nil, 2 * exportPage, first + other, exportPage},
	} {
		s := &reported{memory: memory{lists: map[string][]string{"romeo@capulet.lit": tt.blocked}}, reports: tt.reports}
		d := &domain{Module: New(s, nil)}
		var b strings.Builder
		if err := d.export(t.Context(), jid.MustParse("romeo@capulet.lit"), &b); err != nil {
			t.Fatal(err)
		}
		got := b.String()
		if n := strings.Count(got, "<block "); n != tt.blocks {
			t.Errorf("%d reports of %d are Romeo's, want %d", n, tt.reports, tt.blocks)
		}
		if diff := cmp.Diff(tt.want, got[:min(len(got), len(tt.want))]); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
