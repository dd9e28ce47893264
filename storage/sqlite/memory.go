package sqlite

import (
	"sync/atomic"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// What memory holds at most; beyond, it begins anew.
const (
	maxLogs  = 2048
	maxChats = 4096
)

// memory is what write groups know of logs and chats from those before them. It
// belongs to whoever has the writer's connection, and is good as long as nobody
// else changes the tables: other changes of this process clear it, and those of
// another are seen by their version.
type memory struct {
	logs    map[jid.JID]*storage.Log
	chats   map[chatName]*storage.Chat
	version int64
	stale   atomic.Bool // a group has changed what is held, and it is not known to be committed
}

func (m *memory) clear() { m.logs, m.chats = nil, nil }

// check begins a group: it forgets everything if the one before it has failed, or
// another process has written.
func (m *memory) check(t *tx) error {
	was := m.version
	if err := t.row("PRAGMA data_version").Scan(&m.version); err != nil {
		return err
	}
	if m.stale.Swap(true) || m.version != was {
		m.clear()
	}
	return nil
}

// keep takes what a group has read and written. The caller is about to commit it.
func (m *memory) keep(logs map[jid.JID]*storage.Log, chats map[chatName]*storage.Chat) {
	if m.logs == nil || len(m.logs)+len(logs) > maxLogs || len(m.chats)+len(chats) > maxChats {
		m.logs, m.chats = make(map[jid.JID]*storage.Log), make(map[chatName]*storage.Chat)
	}
	for owner, l := range logs {
		if l != nil {
			l.Changed = false
			m.logs[owner] = l
		}
	}
	for name, c := range chats {
		if c.ID != 0 {
			c.Changed = false
			m.chats[name] = c
		}
	}
}
