package inbox

import (
	"context"
	"fmt"
	"sync"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

const (
	step     = 500 // rows looked at in one transaction, so that messages get their turn
	accounts = 100 // read at a time
)

// commands declares the admin commands. ejabberd has no inbox; the names are like
// those of its commands that work in the background.
func (m *Module) commands() {
	host := command.Arg{Name: "host", Type: command.Host, Doc: "Domain of the accounts", Example: "capulet.lit"}
	const what = "Unread counts and last messages of conversations are found anew from what the archive holds. " +
		"Read positions stay, or move forward to what the account's own markers and messages say. " +
		"It needs no pause: messages may come and go meanwhile."
	m.host.Command(command.Command{
		Name: "rebuild_inbox", Tags: []string{"inbox"}, Short: "Make the inbox of an account anew out of its archive", Long: what,
		Args: []command.Arg{
			{Name: "user", Type: command.User, Doc: "Local part of the account", Example: "juliet"},
			{Name: "host", Type: command.Host, Doc: "Domain of the account", Example: "capulet.lit"},
		},
		Result:  command.TextOf("result"),
		Example: "1 account, 12345 messages",
		Run:     m.rebuildOne,
	})
	m.host.Command(command.Command{
		Name: "rebuild_inbox_batch", Tags: []string{"inbox"}, Short: "Make the inboxes of all accounts anew, in the background",
		Long: what + " rebuild_inbox_status shows how far it is.",
		Args: []command.Arg{host}, Result: command.TextOf("result"),
		Example: "0 of 4000 accounts, 0 messages: running", Run: m.rebuildAll,
	})
	m.host.Command(command.Command{
		Name: "rebuild_inbox_status", Tags: []string{"inbox"}, Short: "Show how far rebuild_inbox_batch is",
		Args: []command.Arg{host}, Result: command.TextOf("status"),
		Example: "120 of 4000 accounts, 1234567 messages: running", Run: m.rebuildStatus,
	})
	m.host.Command(command.Command{
		Name: "abort_rebuild_inbox", Tags: []string{"inbox"}, Short: "Stop rebuild_inbox_batch",
		Long: "What has been made anew stays so. The next one begins from the start.",
		Args: []command.Arg{host}, Result: command.TextOf("status"),
		Example: "120 of 4000 accounts, 1234567 messages: aborted", Run: m.rebuildAbort,
	})
}

// rebuild makes one inbox anew and tells of the rows as it goes.
func (m *Module) rebuild(ctx context.Context, owner jid.JID, rows func(int64)) error {
	var at storage.InboxRebuild
	for !at.Done {
		before := at.Rows
		var err error
		if at, err = m.store.RebuildInbox(ctx, owner, at, step, m.judge); err != nil {
			return err
		}
		rows(at.Rows - before)
		command.Progress(ctx, at.Rows, at.Of)
	}
	return ctx.Err()
}

func (m *Module) rebuildOne(ctx context.Context, a command.Args) (any, error) {
	owner, err := m.host.Account(a, "user", "host")
	if err != nil {
		return nil, err
	}
	ok, err := m.host.Exists(ctx, owner)
	if err == nil && !ok {
		err = command.Errorf(command.NotFound, "no account %s", owner)
	}
	if err != nil {
		return nil, err
	}
	n := int64(0)
	if err := m.rebuild(ctx, owner, func(rows int64) { n += rows }); err != nil {
		return nil, err
	}
	return fmt.Sprintf("1 account, %d messages", n), nil
}

// jobs are the rebuilds of all accounts of a domain, one for each at a time.
type jobs struct {
	mu      sync.Mutex
	byHost  map[string]*job
	running sync.WaitGroup
	stopped bool
}

// job is one of them; the lock of jobs guards it.
type job struct {
	cancel             context.CancelFunc
	done, of, messages int64
	state              string
}

const running = "running"

func (j *job) String() string {
	return fmt.Sprintf("%d of %d accounts, %d messages: %s", j.done, j.of, j.messages, j.state)
}

// start makes a job, unless one is running or the server stops.
func (s *jobs) start(host string, of int64) (context.Context, *job) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if j := s.byHost[host]; s.stopped || j != nil && j.state == running {
		return nil, nil
	}
	if s.byHost == nil {
		s.byHost = make(map[string]*job)
	}
	ctx, cancel := context.WithCancel(context.Background())
	j := &job{cancel: cancel, of: of, state: running}
	s.byHost[host] = j
	s.running.Add(1)
	return ctx, j
}

func (s *jobs) change(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// stop ends all jobs.
func (s *jobs) stop(context.Context) error {
	s.change(func() {
		s.stopped = true
		for _, j := range s.byHost {
			j.cancel()
		}
	})
	s.running.Wait()
	return nil
}

// run works on a job until it is done.
func (m *Module) run(ctx context.Context, host string, j *job) {
	defer m.jobs.running.Done()
	defer j.cancel()
	err := m.rebuildDomain(ctx, host, j)
	m.jobs.change(func() {
		switch {
		case ctx.Err() != nil:
			j.state = "aborted"
		case err != nil:
			j.state = "failed: " + err.Error()
		default:
			j.state = "done"
		}
	})
}

func (m *Module) rebuildDomain(ctx context.Context, host string, j *job) error {
	var after jid.JID
	for {
		list, err := m.store.Accounts(ctx, host, after, accounts)
		if err != nil {
			return err
		}
		for _, owner := range list {
			if err := m.rebuild(ctx, owner, func(rows int64) { m.jobs.change(func() { j.messages += rows }) }); err != nil {
				return fmt.Errorf("%s: %w", owner, err)
			}
			m.jobs.change(func() { j.done++ })
			after = owner
		}
		if len(list) < accounts {
			return nil
		}
	}
}

// domain is the domain that an argument names.
func (m *Module) domain(a command.Args) (string, error) {
	host := a.String("host")
	if !m.host.Hosted(host) {
		return "", command.Errorf(command.UnknownHost, "Unknown virtual host")
	}
	return host, nil
}

func (m *Module) rebuildAll(ctx context.Context, a command.Args) (any, error) {
	host, err := m.domain(a)
	if err != nil {
		return nil, err
	}
	n, err := m.store.CountAccounts(ctx, host)
	if err != nil {
		return nil, err
	}
	ctx, j := m.jobs.start(host, int64(n))
	if j == nil {
		return nil, command.Errorf(command.Conflict, "it is running already")
	}
	go m.run(ctx, host, j)
	return m.status(host), nil
}

func (m *Module) status(host string) (status string) {
	m.jobs.change(func() {
		if status = "none was started"; m.jobs.byHost[host] != nil {
			status = m.jobs.byHost[host].String()
		}
	})
	return status
}

func (m *Module) rebuildStatus(_ context.Context, a command.Args) (any, error) {
	host, err := m.domain(a)
	if err != nil {
		return nil, err
	}
	return m.status(host), nil
}

func (m *Module) rebuildAbort(_ context.Context, a command.Args) (any, error) {
	host, err := m.domain(a)
	if err != nil {
		return nil, err
	}
	m.jobs.change(func() {
		if j := m.jobs.byHost[host]; j != nil && j.state == running {
			j.cancel()
			j.state = "aborted"
		}
	})
	return m.status(host), nil
}
