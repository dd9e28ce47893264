package blocking

import (
	"context"
	"fmt"
	"io"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// exportPage is how many reports, of all accounts, are read at a time: each may hold
// copies of messages.
const exportPage = 50

// export writes the blocklist, if there is anything on it, and what the account has
// reported, each report in a block as it was sent. The operator's copies of messages
// are left out: they come from the archive.
func (d *domain) export(ctx context.Context, owner jid.JID, w io.Writer) error {
	l, err := d.list(ctx, owner)
	if err != nil {
		return err
	}
	if len(l.items) > 0 {
		b := stanza.NewBuilder(nil).Open("blocklist", ns)
		appendItems(b, l.items)
		if _, err := w.Write(append(b.Bytes(), '\n')); err != nil {
			return err
		}
	}
	for after := int64(0); ; {
		rows, err := d.store.Reports(ctx, storage.AllReports, after, exportPage)
		if err != nil {
			return fmt.Errorf("export reports: %w", err)
		}
		for i := range rows {
			if after = rows[i].ID; rows[i].Reporter != owner {
				continue
			}
			if _, err := w.Write(append(appendReport(stanza.NewBuilder(nil), &rows[i]).Bytes(), '\n')); err != nil {
				return err
			}
		}
		if len(rows) < exportPage {
			return nil
		}
	}
}

// appendReport writes what the client sent (XEP-0377), and when that was (XEP-0203).
func appendReport(b *stanza.Builder, r *storage.Report) *stanza.Builder {
	b.Open("block", ns).Open("item", "").Attr("jid", r.Reported.String())
	b.Open("report", nsReport).Attr("reason", r.Reason)
	for _, id := range r.Messages {
		b.Open("stanza-id", nsStanzaID).Attr("by", id.By).Attr("id", id.ID).Close()
	}
	for _, t := range r.Texts {
		b.Open("text", "")
		if t.Lang != "" {
			b.Attr("xml:lang", t.Lang)
		}
		b.Chars(t.Text).Close()
	}
	if r.ToOrigin {
		b.Empty("report-origin", "")
	}
	if r.ThirdParty {
		b.Empty("third-party", "")
	}
	b.Open("delay", stanza.NSDelay).Attr("stamp", r.Created.UTC().Format(stamp)).Close()
	return b.Close().Close().Close()
}
