package last

import (
	"context"
	"errors"
	"io"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// export writes the last logout as the presence that others would have got then.
func (m *Module) export(ctx context.Context, account jid.JID, w io.Writer) error {
	at, status, err := m.activity(ctx, account)
	if errors.Is(err, storage.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	b := stanza.NewBuilder(nil)
	b.Open("presence", stanza.NSClient).Attr("type", "unavailable")
	if status != "" {
		b.Text("status", status)
	}
	b.Open("delay", stanza.NSDelay).Attr("stamp", at.UTC().Format("2006-01-02T15:04:05Z")).Close().Close()
	_, err = w.Write(append(b.Bytes(), '\n'))
	return err
}
