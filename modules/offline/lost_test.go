package offline

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/session"
	"github.com/xmppd/xmppd/stanza"
)

// clogged is a connection whose peer reads nothing.
type clogged struct{}

func (clogged) AppendElement(dst, xml []byte) []byte { return append(dst, xml...) }
func (clogged) Framed() bool                         { return false }
func (clogged) Write([]byte) error                   { return nil }
func (clogged) Pending() int                         { return 1 }
func (clogged) OnDrained(func())                     {}
func (clogged) Finish(*stanza.StreamError)           {}
func (clogged) Abort(error)                          {}

// Who waits for a client to read would, on a connection that is lost, wait for
// ever: it is the reader, who has to notice that.
func TestNobodyWaitsForALostConnection(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*session.Outbox){
		"resumed elsewhere": (*session.Outbox).Detach,
		"cut":               func(o *session.Outbox) { o.Cut(nil) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				out := session.NewOutbox(clogged{}, session.NewChunks(0), 1<<20)
				out.Manage(session.Management{Limit: 1 << 20, Now: func() int64 { return 1 }, Asked: func() {}}, nil)
				out.Append([]byte("<message/>"))
				out.Flush()
				out.Append([]byte("<message>" + strings.Repeat("x", highWater) + "</message>"))
				s := session.New(session.Ref{}, jid.MustParse("juliet@capulet.lit/balcony"), session.Info{}, out)
				r := &receiver{session: s}
				var room, done bool
				go func() {
					room = r.room(true, highWater)
					done = true
				}()
				time.Sleep(time.Second)
				if done {
					t.Fatal("it does not wait at all")
				}
				lose(out)
				time.Sleep(2 * stuck)
				synctest.Wait()
				if !done || room {
					t.Errorf("done %v, room %v", done, room)
				}
				out.Discard()
			})
		})
	}
}
