package blocking

import (
	"context"
	"slices"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/storage"
)

// Archive is where reported messages are found.
type Archive interface {
	// ArchiveRows are those of the seqs that the archive has, in order.
	ArchiveRows(ctx context.Context, owner jid.JID, seqs []int64) ([]storage.Message, error)
}

// copies adds to reports what their messages say, as far as the archive of the
// reporter has them: nobody can report what he did not get. That it cannot be read
// must not keep anybody from being blocked.
func (d *domain) copies(r *modules.Request, reports []storage.Report) {
	if d.Archive == nil {
		return
	}
	for i := range reports[:min(len(reports), d.opts.ReportsPerDay)] {
		if err := d.copy(r.Ctx, &reports[i]); err != nil {
			d.h.Log.Error("reported messages not copied", "account", r.Owner.String(), "error", err)
			return
		}
	}
}

// copyRows is how many rows are read at a time; each may be as large as a stanza.
const copyRows = 20

func (d *domain) copy(ctx context.Context, r *storage.Report) error {
	named := rowsOf(r.Reporter, r.Messages)
	seqs := make([]int64, len(named))
	for i, row := range named {
		seqs[i] = row.Seq
	}
	slices.Sort(seqs)
	room := int(d.opts.ReportCopyBytes)
	for part := range slices.Chunk(slices.Compact(seqs), copyRows) {
		rows, err := d.Archive.ArchiveRows(ctx, r.Reporter, part)
		if err != nil {
			return err
		}
		for i := range rows {
			m := &rows[i]
			if !slices.Contains(named, storage.RowID{Seq: m.Seq, Tag: m.Tag}) || len(m.XML) > room {
				continue
			}
			room -= len(m.XML)
			r.Copies = append(r.Copies, storage.ReportCopy{ID: m.StanzaID(), Arrived: m.Arrived, XML: string(m.XML)})
		}
	}
	return nil
}

// rowsOf are the rows that ids of an account's own archive name.
func rowsOf(owner jid.JID, ids []storage.StanzaID) (rows []storage.RowID) {
	for _, id := range ids {
		by, err := jid.Parse(id.By)
		if err != nil || by != owner {
			continue
		}
		if seq, tag, ok := storage.ParseStanzaID(id.ID); ok {
			rows = append(rows, storage.RowID{Seq: seq, Tag: tag})
		}
	}
	return rows
}
