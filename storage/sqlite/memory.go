package sqlite

import (
	"sync"
	"sync/atomic"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// What memory holds at most; beyond, it begins anew.
const (
	maxLogs  = 2048
	maxChats = 4096
)

// memory is what write groups know of logs and chats from those before them. It is
// good as long as nobody else changes the tables: other changes of this process
// drop what they change, and those of another are seen by their version. A group past its
// deadline may have lost the writer's connection without knowing it yet, so there
// is a lock; what such a group leaves is stale.
type memory struct {
	mu      sync.Mutex
	logs    map[jid.JID]*storage.Log
	chats   map[chatName]*storage.Chat
	version atomic.Int64
	stale   atomic.Bool // a group has changed what is held, and it is not known to be committed
}

func (m *memory) clear() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.logs, m.chats = nil, nil
}

// forgetNothing is for changes of other tables than those of logs and chats.
func (m *memory) forgetNothing() {}

// forgetLog is for changes of a log that leave its chats alone.
func (m *memory) forgetLog(owner jid.JID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.logs, owner.Bare())
}

func (m *memory) log(owner jid.JID) *storage.Log {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.logs[owner]
}

func (m *memory) chat(name chatName) *storage.Chat {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.chats[name]
}

// check begins a group: it forgets everything if the one before it has failed, or
// another process has written.
func (m *memory) check(t *tx) error {
	var version int64
	if err := t.row("PRAGMA data_version").Scan(&version); err != nil {
		return err
	}
	if stale := m.stale.Swap(true); stale || version != m.version.Swap(version) {
		m.clear()
	}
	return nil
}

// keep takes what a group has read and written. The caller is about to commit it.
func (m *memory) keep(logs map[jid.JID]*storage.Log, chats map[chatName]*storage.Chat) {
	m.mu.Lock()
	defer m.mu.Unlock()
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
