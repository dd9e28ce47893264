package admin_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

var errDatabase = errors.New("disk on fire")

// world is a server in memory.
type world struct {
	mu       sync.Mutex
	accounts map[jid.JID]*storage.Account
	password map[jid.JID]string
	tokens   map[jid.JID][]storage.Token
	sessions []admin.Session
	kicked   []string // "address: reason"
	injected []string // "from > to: xml"
	level    slog.Level
	stopped  chan struct{}
	applied  []string
	restart  []string
	broken   bool // the database fails
	failing  bool // an export does, in the middle
}

const phoneAgent = "d4565fa7-4d72-4749-b3d3-740edbf87770"

var noon = time.Date(2026, 4, 22, 12, 0, 0, 0, time.UTC)

func newWorld() *world {
	w := &world{accounts: map[jid.JID]*storage.Account{}, password: map[jid.JID]string{},
		tokens: map[jid.JID][]storage.Token{}, stopped: make(chan struct{})}
	for _, s := range []string{"romeo@example.org", "juliet@example.org", "nurse@example.net"} {
		w.accounts[jid.MustParse(s)] = &storage.Account{JID: jid.MustParse(s), Created: noon}
		w.password[jid.MustParse(s)] = "secret"
	}
	w.accounts[jid.MustParse("nurse@example.net")].Ban = &storage.Ban{Reason: "talks too\tmuch", Since: noon.Add(-90 * time.Minute)}
	w.tokens[jid.MustParse("juliet@example.org")] = []storage.Token{
		{Agent: phoneAgent, Software: "Conver\tsations", Device: "Pixel", New: true, Mechanism: "HT-SHA-512-EXPR",
			Created: noon, Used: noon, Expires: noon.AddDate(0, 1, 0)},
		{Agent: phoneAgent, Software: "Conversations", Mechanism: "HT-SHA-256-NONE",
			Created: noon.AddDate(0, 0, -1), Used: noon.Add(-time.Hour), Expires: noon.AddDate(0, 1, -1)},
	}
	session := func(s, transport, addr string, age time.Duration) admin.Session {
		return admin.Session{JID: jid.MustParse(s), Transport: transport, Addr: netip.MustParseAddrPort(addr),
			Node: "xmppd@one", Here: true, Since: noon.Add(-age)}
	}
	phone := session("juliet@example.org/phone", "websocket", "[2001:db8::1]:443", time.Hour)
	phone.Available, phone.Priority, phone.Show, phone.Status = true, 5, "away", "out\nfor lunch"
	balcony := session("juliet@example.org/balcony", "c2s_tls", "[::ffff:192.0.2.7]:42656", 231*time.Second)
	balcony.Available, balcony.Node, balcony.Here = true, "xmppd@two", false
	orchard := session("romeo@example.org/orchard", "c2s", "192.0.2.8:1024", 0)
	w.sessions = []admin.Session{phone, orchard, balcony}
	return w
}

func (w *world) deps() admin.Deps {
	return admin.Deps{Server: server{w}, Accounts: accounts{w}, Sessions: sessions{w}, Stanzas: stanzas{w}}
}

type server struct{ *world }

func (server) Node() string               { return "xmppd@one" }
func (server) Version() string            { return "1.2.3" }
func (server) Started() time.Time         { return noon.Add(-time.Minute) }
func (server) Now() time.Time             { return noon }
func (server) Domains() []string          { return []string{"example.org", "example.net"} }
func (s server) Stop()                    { close(s.stopped) }
func (s server) LogLevel() slog.Level     { s.mu.Lock(); defer s.mu.Unlock(); return s.level }
func (s server) SetLogLevel(l slog.Level) { s.mu.Lock(); defer s.mu.Unlock(); s.level = l }
func (s server) Reload(context.Context) (applied, restart []string, err error) {
	if s.broken {
		return nil, nil, errors.New("xmppd.yml:3: log.level: \"loud\" is not one of debug, info, warn, error")
	}
	return s.applied, s.restart, nil
}

type accounts struct{ *world }

func (a accounts) Create(_ context.Context, j jid.JID, password string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return errDatabase
	}
	if a.accounts[j] != nil {
		return storage.ErrExists
	}
	a.accounts[j], a.password[j] = &storage.Account{JID: j}, password
	return nil
}

func (a accounts) Delete(_ context.Context, j jid.JID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[j] == nil {
		return storage.ErrNotFound
	}
	delete(a.accounts, j)
	return nil
}

func (a accounts) Export(_ context.Context, j jid.JID, w io.Writer) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, err := io.WriteString(w, "<query xmlns='jabber:iq:roster'/>\n"); err != nil || a.failing {
		return errors.Join(err, errDatabase)
	}
	return nil
}

func (a accounts) SetPassword(_ context.Context, j jid.JID, password string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[j] == nil {
		return storage.ErrNotFound
	}
	a.password[j] = password
	return nil
}

func (a accounts) CheckPassword(_ context.Context, j jid.JID, password string) (bool, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.accounts[j] != nil && a.password[j] == password, nil
}

func (a accounts) Account(_ context.Context, j jid.JID) (storage.Account, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.broken {
		return storage.Account{}, errDatabase
	}
	if a.accounts[j] == nil {
		return storage.Account{}, storage.ErrNotFound
	}
	return *a.accounts[j], nil
}

func (a accounts) Names(_ context.Context, domain string) ([]string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	names := []string{}
	for j := range a.accounts {
		if j.Domain() == domain {
			names = append(names, j.Local())
		}
	}
	slices.Sort(names)
	return names, nil
}

func (a accounts) Count(ctx context.Context, domain string) (int, error) {
	names, err := a.Names(ctx, domain)
	return len(names), err
}

func (a accounts) SetBan(_ context.Context, j jid.JID, ban *storage.Ban) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.accounts[j].Ban = ban
	return nil
}

func (a accounts) Tokens(_ context.Context, j jid.JID) ([]storage.Token, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[j] == nil {
		return nil, storage.ErrNotFound
	}
	return a.tokens[j], nil
}

func (a accounts) RevokeTokens(_ context.Context, j jid.JID, agent string) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.accounts[j] == nil {
		return 0, storage.ErrNotFound
	}
	before := len(a.tokens[j])
	a.tokens[j] = slices.DeleteFunc(a.tokens[j], func(t storage.Token) bool { return agent == "" || t.Agent == agent })
	return before - len(a.tokens[j]), nil
}

type sessions struct{ *world }

func matches(of, full jid.JID) bool {
	return of.IsZero() || of == full || of == full.Bare() || of == full.DomainJID()
}

func (s sessions) Sessions(_ context.Context, of jid.JID) ([]admin.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken {
		return nil, errDatabase
	}
	var list []admin.Session
	for _, one := range s.sessions {
		if matches(of, one.JID) {
			list = append(list, one)
		}
	}
	return list, nil
}

func (s sessions) Kick(_ context.Context, of jid.JID, reason string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.sessions)
	s.sessions = slices.DeleteFunc(s.sessions, func(one admin.Session) bool { return matches(of, one.JID) })
	s.kicked = append(s.kicked, of.String()+": "+reason)
	return before - len(s.sessions), nil
}

type stanzas struct{ *world }

func (s stanzas) Inject(_ context.Context, from, to jid.JID, xml []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(xml) == 0 || xml[0] != '<' {
		return errors.New("not well-formed")
	}
	s.injected = append(s.injected, from.String()+" > "+to.String()+": "+string(xml))
	return nil
}
