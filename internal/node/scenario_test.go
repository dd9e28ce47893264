package node_test

import (
	"testing"

	"github.com/xmppd/xmppd/internal/xmpptest"
)

// The scenario files are the tests of what stanzas do, from login to logout.
func TestScenarios(t *testing.T) {
	t.Parallel()
	xmpptest.Scenarios(t, "../../testdata/scenarios")
}
