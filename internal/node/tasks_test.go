package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
	"github.com/xmppd/xmppd/session"
)

// What modules want done again and again is done at its time, not again before it
// has ended, and ends with the node; an error is logged and no more.
func TestTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged strings.Builder
		start := time.Now()
		n := &Node{log: slog.New(slog.NewTextHandler(&logged, nil)), stop: make(chan struct{}), wheel: session.NewWheel(start)}
		tables := modules.NewTables()
		h := modules.NewHost(jid.MustParse("localhost"), tables, nil, modules.Info{Name: "test"}, nil, nil, n.log, time.Now)
		quick, slow, ended := 0, 0, false
		h.Every("quick", 2*time.Second, func(context.Context) error {
			quick++
			return errors.New("oops")
		})
		h.Every("slow", time.Second, func(ctx context.Context) error {
			slow++
			<-ctx.Done()
			ended = true
			return ctx.Err()
		})
		n.tables = []*modules.Tables{tables}
		n.startTasks()
		for s := range 10 {
			n.wheel.Advance(start.Add(time.Duration(s+1) * time.Second))
			synctest.Wait()
		}
		close(n.stop)
		n.serving.Wait()
		if quick != 5 || slow != 1 || !ended {
			t.Errorf("quick ran %d times, slow %d, ended %v", quick, slow, ended)
		}
		n.wheel.Advance(start.Add(20 * time.Second))
		n.serving.Wait()
		if quick != 5 {
			t.Error("ran after the end")
		}
		if text := logged.String(); strings.Count(text, "test.quick error=oops") != 5 || strings.Contains(text, "test.slow") {
			t.Errorf("logged:\n%s", text)
		}
	})
}

// At a planned stop every module is told, whatever the others say.
func TestStopping(t *testing.T) {
	t.Parallel()
	tables := modules.NewTables()
	h := modules.NewHost(jid.MustParse("localhost"), tables, nil, modules.Info{Name: "test"}, nil, nil, slog.New(slog.DiscardHandler), time.Now)
	oops, told := errors.New("oops"), 0
	for range 2 {
		h.OnStop(func(context.Context) error {
			told++
			return oops
		})
	}
	if err := tables.Stopping(t.Context()); !errors.Is(err, oops) || told != 2 {
		t.Errorf("%v, %d told", err, told)
	}
}
