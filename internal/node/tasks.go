package node

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/xmppd/xmppd/modules"
)

// task is work of a module on the wheel: it runs on a goroutine of its own, and
// not again before it has ended.
type task struct {
	modules.Task
	n       *Node
	ctx     context.Context
	running atomic.Bool
}

// startTasks starts what the modules want done again and again, until the node
// stops.
func (n *Node) startTasks() {
	ctx, cancel := context.WithCancel(context.Background())
	n.serving.Go(func() {
		<-n.stop
		cancel()
	})
	for _, t := range n.tables {
		for _, work := range t.Tasks() {
			t := &task{Task: work, n: n, ctx: ctx}
			n.wheel.Add(t, t.seconds(), true)
		}
	}
}

func (t *task) seconds() int { return max(int(t.Every/time.Second), 1) }

// Tick implements session.Timed.
func (t *task) Tick(int64) int {
	if t.ctx.Err() != nil {
		return 0
	}
	if t.running.CompareAndSwap(false, true) {
		t.n.serving.Go(t.run)
	}
	return t.seconds()
}

func (t *task) run() {
	defer t.running.Store(false)
	if err := t.Run(t.ctx); err != nil && !errors.Is(err, context.Canceled) {
		t.n.log.Error("task failed", "task", t.Name, "error", err)
	}
}
