package router

import (
	"strings"
	"testing"
	"time"

	"github.com/xmppd/xmppd/session"
)

// A message that a session leaves behind is kept if the session that was to have
// it ends at the same time, as when all of an account are closed.
func TestLeftoversOfTwoThatEndTogether(t *testing.T) {
	t.Parallel()
	f, store := newFixture(t), new(rack)
	f.r.Group = store
	keeper(f)
	leaving, _ := f.bind("juliet@localhost/phone", 0)
	other, _ := f.bind("juliet@localhost/home", 0)
	other.Outbox.Abort(nil)
	f.r.Unacked(leaving, []session.Pending{{
		XML: "<message type='chat' from='romeo@localhost/a' to='juliet@localhost/phone' id='1'><body>x</body></message>",
		At:  time.Now().UnixNano(),
	}})
	if len(store.rows) != 1 || strings.Contains(string(store.rows[0].XML), "delay") {
		t.Errorf("kept: %+v", store.rows)
	}
}
