package modules

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/stanza"
)

// Tables is everything that the modules of one domain have attached. It is
// filled at start-up and only read afterwards.
type Tables struct {
	Infos []Info // of the enabled modules, in their order

	stages   [4][2][Stages][]attached // by kind, side, stage
	iqs      map[iqKey]attachedIQ
	events   [Events][]func(*Flight)
	features [2][]func(*stanza.Builder)
	removed  []func(context.Context, jid.JID) error
	exports  []func(context.Context, jid.JID, io.Writer) error
	commands []command.Command
	http     []HTTPRoute
	nonzas   map[[2]string]func(*Flight) // by namespace and name
	inline   []Inline
	bound    []func(*Flight, *stanza.Builder)
	tasks    []Task
	stops    []func(context.Context) error
}

// Task is work that is done again and again; see Host.Every.
type Task struct {
	Name  string
	Every time.Duration
	Run   func(context.Context) error
}

// HTTPRoute is a handler for a pattern of net/http.ServeMux.
type HTTPRoute struct {
	Pattern string
	Handler http.Handler
}

type attached struct {
	module string
	fn     Handler
}

type attachedIQ struct {
	module string
	fn     IQHandler
}

type iqKey struct {
	t        stanza.Type
	to       Target
	ns, name string
}

// NewTables makes empty tables.
func NewTables() *Tables {
	return &Tables{iqs: make(map[iqKey]attachedIQ), nonzas: make(map[[2]string]func(*Flight))}
}

func (t *Tables) add(k stanza.Kind, s Side, st Stage, module string, fn Handler) {
	if k != stanza.Message && st > Amend {
		panic(fmt.Sprintf("module %s: only messages have stage %d", module, st))
	}
	list := &t.stages[k][s][st]
	*list = append(*list, attached{module, fn})
}

func (t *Tables) addIQ(k iqKey, module string, fn IQHandler) {
	if other, ok := t.iqs[k]; ok {
		panic(fmt.Sprintf("modules %s and %s both answer %v %s %s", other.module, module, k.t, k.ns, k.name))
	}
	t.iqs[k] = attachedIQ{module, fn}
}

// Shuffle changes the order inside every stage. Tests use it to prove that no
// order hides there.
func (t *Tables) Shuffle(r *rand.Rand) {
	for k := range t.stages {
		for s := range t.stages[k] {
			for st := range t.stages[k][s] {
				l := t.stages[k][s][st]
				r.Shuffle(len(l), func(i, j int) { l[i], l[j] = l[j], l[i] })
			}
		}
	}
}

// Pass runs one stage. In Check all handlers run and the strictest verdict
// wins; in the others the first that is not nil ends the stage. module names
// the handler that decided.
func (t *Tables) Pass(k stanza.Kind, s Side, st Stage, f *Flight) (module string, err error) {
	for _, a := range t.stages[k][s][st] {
		e := a.fn(f)
		if e == nil {
			continue
		}
		if st != Check {
			return a.module, e
		}
		if err == nil || strictness(e) > strictness(err) {
			module, err = a.module, e
		}
	}
	return module, err
}

// strictness orders the verdicts of Check: a failure of the server, an error
// for the sender by its type, silence.
func strictness(err error) int {
	if err == Stop {
		return 1
	}
	e, ok := err.(*stanza.Error)
	if !ok {
		return 7
	}
	switch e.Type {
	case "auth":
		return 6
	case "cancel":
		return 5
	case "modify":
		return 4
	case "wait":
		return 3
	}
	return 2
}

// IQHandler finds who answers; nil if nobody does.
func (t *Tables) IQHandler(typ stanza.Type, to Target, ns, name []byte) (string, IQHandler) {
	a := t.iqs[iqKey{typ, to, string(ns), string(name)}]
	return a.module, a.fn
}

// Fire tells the modules of an event.
func (t *Tables) Fire(e Event, f *Flight) {
	for _, fn := range t.events[e] {
		fn(f)
	}
}

// Nonza finds the handler of a top-level element that is no stanza; nil: nobody.
func (t *Tables) Nonza(ns, name []byte) func(*Flight) {
	return t.nonzas[[2]string{string(ns), string(name)}]
}

// Inline lists what may be asked for while a resource is bound.
func (t *Tables) Inline() []Inline { return t.inline }

// Bound writes what every client learns that binds a resource by XEP-0386.
func (t *Tables) Bound(f *Flight, bound *stanza.Builder) {
	for _, fn := range t.bound {
		fn(f, bound)
	}
}

// StreamFeatures writes the features that modules offer in the phase.
func (t *Tables) StreamFeatures(p Phase, b *stanza.Builder) {
	for _, fn := range t.features[p] {
		fn(b)
	}
}

// UserRemoved tells the modules that an account is about to go.
func (t *Tables) UserRemoved(ctx context.Context, user jid.JID) error {
	for _, fn := range t.removed {
		if err := fn(ctx, user); err != nil {
			return err
		}
	}
	return nil
}

// Export writes what the modules keep of an account; see Host.OnExport.
func (t *Tables) Export(ctx context.Context, account jid.JID, w io.Writer) error {
	for _, fn := range t.exports {
		if err := fn(ctx, account, w); err != nil {
			return err
		}
	}
	return nil
}

// Tasks are what is to be done again and again.
func (t *Tables) Tasks() []Task { return t.tasks }

// Stopping tells the modules that the server has no sessions any more and ends.
func (t *Tables) Stopping(ctx context.Context) error {
	var errs []error
	for _, fn := range t.stops {
		errs = append(errs, fn(ctx))
	}
	return errors.Join(errs...)
}

// Commands are the admin commands of the modules.
func (t *Tables) Commands() []command.Command { return t.commands }

// HTTP are the HTTP handlers of the modules.
func (t *Tables) HTTP() []HTTPRoute { return t.http }
