package c2s_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/storage"
)

// slow is a store that commits messages when it is told to.
type slow struct {
	one
	mu   sync.Mutex
	done bool // it commits by itself
	runs []*storage.Run
}

func (s *slow) Join(r *storage.Run) {
	r.Begin()
	for _, w := range r.Writes {
		if _, ok := w.(*storage.Message); ok {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.done {
				break
			}
			s.runs = append(s.runs, r)
			return
		}
	}
	r.End()
}

// commit ends the runs that wait, each of whose messages gets that error, and
// returns how many messages there were.
func (s *slow) commit(err error) (messages int) {
	s.mu.Lock()
	runs := s.runs
	s.runs = nil
	s.mu.Unlock()
	for _, r := range runs {
		for i, w := range r.Writes {
			if _, ok := w.(*storage.Message); ok {
				r.Errs[i] = err
				messages++
			}
		}
		r.End()
	}
	return messages
}

// free lets go of everything at the end of a test.
func (s *slow) free() {
	s.mu.Lock()
	s.done = true
	s.mu.Unlock()
	s.commit(nil)
}

// keeps stores every message that finds nobody.
func keeps(h *modules.Host) {
	h.Message(modules.Received, modules.Archive, func(f *modules.Flight) error {
		if f.Absent {
			f.Row.Flags |= storage.Waiting
		}
		return nil
	})
}

// <a/> never passes a stanza that is not durable (XEP-0198 §4): a client deletes
// what has been acknowledged.
func TestAckWaitsForTheCommit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		send string
		err  error
		want string
	}{
		"committed":      {"<message to='romeo@localhost' id='1'/><r xmlns='urn:xmpp:sm:3'/>", nil, "<a xmlns='urn:xmpp:sm:3' h='1'/>"},
		"failed":         {"<message to='romeo@localhost' id='1'/><r xmlns='urn:xmpp:sm:3'/>", errors.New("disk full"), "<message from='romeo@localhost' to='romeo@localhost/home' id='1' type='error'><error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message><r xmlns='urn:xmpp:sm:3'/><a xmlns='urn:xmpp:sm:3' h='1'/>"},
		"asked in front": {"<r xmlns='urn:xmpp:sm:3'/><message to='romeo@localhost' id='1'/>", nil, "<a xmlns='urn:xmpp:sm:3' h='1'/>"},
		"asked twice":    {"<r xmlns='urn:xmpp:sm:3'/><message to='romeo@localhost' id='1'/><message to='romeo@localhost' id='2'/><r xmlns='urn:xmpp:sm:3'/>", nil, "<a xmlns='urn:xmpp:sm:3' h='2'/><a xmlns='urn:xmpp:sm:3' h='2'/>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				st := new(slow)
				h := open(t, config.Defaults(), st, keeps)
				t.Cleanup(st.free)
				client := h.enter("home")
				client.Send("<enable xmlns='urn:xmpp:sm:3' resume='true'/>")
				client.Next()
				client.Send(c.send)
				var acked atomic.Bool
				done := make(chan struct{})
				go func() {
					defer close(done)
					synctest.Wait() // nothing more happens by itself
					h.session("home").Outbox.Flush()
					synctest.Wait()
					if acked.Load() {
						t.Error("acknowledged before the commit")
					}
					if st.commit(c.err) == 0 {
						t.Error("nothing was to be committed")
					}
				}()
				client.Expect(c.want)
				acked.Store(true)
				<-done
				client.ExpectNothing()
			})
		})
	}
}
