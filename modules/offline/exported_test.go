package offline_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func (s *scene) exported() string {
	s.t.Helper()
	var b strings.Builder
	if err := s.Tables.Export(s.t.Context(), jid.MustParse(juliet), &b); err != nil {
		s.t.Fatal(err)
	}
	return b.String()
}

// What waits is exported with when it came, unless the archive has it, or a client.
func TestExport(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	if got := s.exported(); got != "" {
		t.Errorf("of nothing: %s", got)
	}
	s.flags = storage.Archived
	s.store(message("archived"))
	if got := s.exported(); got != "" {
		t.Errorf("of what is archived: %s", got)
	}
	var want strings.Builder
	want.WriteString("<offline-messages>\n")
	for i := range 45 { // more than one page
		body := fmt.Sprintf("%d &lt; 45", i)
		s.flags = storage.Archived
		s.store(message(body))
		s.flags = 0
		s.store(message(body))
		want.WriteString(strings.Replace(delivered(body), "<message ", "<message xmlns='jabber:client' ", 1) + "\n")
	}
	want.WriteString("</offline-messages>\n")
	if diff := cmp.Diff(want.String(), s.exported()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	c := s.Login(juliet + "/balcony")
	c.Presence(available, 0)
	c.Received()
	s.Answer(pong)
	if got := s.exported(); got != "" { // though it may not have been written yet that they were confirmed
		t.Errorf("of what a client has: %s", got)
	}
}
