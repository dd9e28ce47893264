package inbox

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// export writes the conversations as a client lists them, the newest first, without
// their messages, which are the archive's.
func (m *Module) export(ctx context.Context, owner jid.JID, w io.Writer) error {
	q := storage.InboxQuery{Owner: owner, Limit: 100}
	xml := append([]byte(nil), "<inbox xmlns='"+ns+"'>\n"...)
	for more := true; more; {
		more = false
		err := m.store.Inbox(ctx, q, func(e *storage.InboxEntry) error {
			q.Below, more = e.At.Seq, true
			xml = append(appendEntry(append(xml, "<entry"...), e), '\n')
			_, err := w.Write(xml)
			xml = xml[:0]
			return err
		})
		if err != nil {
			return fmt.Errorf("export inbox: %w", err)
		}
	}
	_, err := w.Write(append(xml, "</inbox>\n"...))
	return err
}

// appendEntry appends the attributes of an entry and its end.
func appendEntry(b []byte, e *storage.InboxEntry) []byte {
	b = append(b, " unread='"...)
	b = strconv.AppendInt(b, e.Unread, 10)
	b = append(b, "' jid='"...)
	b = stanza.AppendEscaped(b, e.Chat.String())
	b = append(b, "' id='"...)
	b = storage.AppendStanzaID(b, e.Last.Seq, e.Last.Tag)
	return append(b, "'/>"...)
}
