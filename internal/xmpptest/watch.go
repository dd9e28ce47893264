package xmpptest

import (
	"log/slog"
	"sync"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
)

// waiters wait for something that happens to the session of a full JID.
type waiters struct {
	mu  sync.Mutex
	all map[jid.JID][]chan struct{}
}

// next is closed when it happens the next time.
func (w *waiters) next(full jid.JID) <-chan struct{} {
	c := make(chan struct{})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all == nil {
		w.all = make(map[jid.JID][]chan struct{})
	}
	w.all[full] = append(w.all[full], c)
	return c
}

// take are those who wait now.
func (w *waiters) take(full jid.JID) []chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := w.all[full]
	delete(w.all, full)
	return list
}

// watch has the server tell when a session has lost its connection, and when it
// has ended, all modules know and what it left behind has been dealt with.
func (s *Server) watch(tables *modules.Tables) {
	h := modules.NewHost(jid.JID{}, tables, nil, modules.Info{Name: "xmpptest"}, nil, nil, slog.New(slog.DiscardHandler), time.Now)
	h.OnSession(modules.Detached, func(f *modules.Flight) {
		for _, c := range s.detached.take(f.Session.JID) {
			close(c)
		}
	})
	h.OnSession(modules.Closed, func(f *modules.Flight) {
		list, done := s.closed.take(f.Session.JID), f.Session.Done()
		go func() {
			<-done
			for _, c := range list {
				close(c)
			}
		}()
	})
}

// ended is closed when the next session of that full JID has ended.
func (s *Server) ended(full jid.JID) <-chan struct{} { return s.closed.next(full) }
