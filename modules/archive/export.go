package archive

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules/internal/archived"
	"github.com/xmppd/xmppd/stanza"
	"github.com/xmppd/xmppd/storage"
)

// exportCommand writes an archive to a file that does not exist yet and that nobody
// else may read.
func (m *Module) exportCommand(ctx context.Context, a command.Args) (any, error) {
	owner, err := m.account(ctx, a)
	if err != nil {
		return nil, err
	}
	path := a.String("file")
	if !filepath.IsAbs(path) {
		return nil, command.Errorf(command.Usage, "%s is not an absolute path", path)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	n, err := m.export(ctx, f, owner)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("export archive: %w", err), os.Remove(path))
	}
	return fmt.Sprintf("%d messages written to %s", n, path), nil
}

// export writes an archive as XEP-0227 §4.12 has it and returns how many messages it
// holds. It reads a few at a time, so that neither memory nor the database is held.
func (m *Module) export(ctx context.Context, file io.Writer, owner jid.JID) (n int, err error) {
	w := bufio.NewWriter(file)
	head := []byte("<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='urn:xmpp:pie:0'><host jid='")
	head = append(stanza.AppendEscaped(head, owner.Domain()), "'><user name='"...)
	head = append(stanza.AppendEscaped(head, owner.Local()), "'><archive xmlns='urn:xmpp:pie:0#mam'>\n"...)
	if _, err := w.Write(head); err != nil {
		return 0, err
	}
	var xml []byte
	q := storage.ArchiveQuery{Owner: owner, Limit: step}
	for more := true; more; {
		more = false
		err := m.store.Archive(ctx, q, func(row *storage.Message) error {
			n++
			q.After, more = row.Seq, true
			xml = append(xml[:0], "<result xmlns='"+archived.NS+"' id='"...)
			xml = append(archived.AppendResult(xml, row), '\n')
			_, err := w.Write(xml)
			return err
		})
		if err != nil {
			return n, err
		}
	}
	if _, err := w.WriteString("</archive></user></host></server-data>\n"); err != nil {
		return n, err
	}
	return n, w.Flush()
}
