package command_test

import (
	"testing"

	"github.com/xmppd/xmppd/command"
)

// Progress reaches who asked for it last, and nobody else.
func TestProgress(t *testing.T) {
	t.Parallel()
	command.Progress(t.Context(), 1, 2) // nobody
	var got [2]int64
	outer := command.WithProgress(t.Context(), func(int64, int64) { t.Error("the outer front end is told") })
	command.Progress(command.WithProgress(outer, func(done, of int64) { got = [2]int64{done, of} }), 3, 4)
	if got != [2]int64{3, 4} {
		t.Errorf("got %v", got)
	}
}
