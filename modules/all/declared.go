package all

import (
	"errors"
	"log/slog"
	"time"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/modules"
)

// declaration has modules that can only be read: commands, features, options.
func declaration() *Modules {
	cfg := config.Defaults()
	return New(Deps{Config: func() *config.Config { return cfg }, Log: slog.New(slog.DiscardHandler), Now: time.Now})
}

// Declared are the tables of a domain in which nothing can be run.
func Declared() *modules.Tables {
	t := modules.NewTables()
	if err := declaration().Attach(jid.MustParse("localhost"), t); err != nil {
		panic(err) // the defaults are wrong
	}
	return t
}

// Infos describes all modules in their order.
func Infos() []modules.Info { return Declared().Infos }

// Options documents modules.<name>.* of all modules.
func Options() []config.Option {
	var out []config.Option
	for _, i := range Infos() {
		out = append(out, config.Describe(i.Name, options(i))...)
	}
	return out
}

// Problems checks modules.* of a configuration.
func Problems(cfg *config.Config) []config.Problem {
	infos := Infos()
	names := make([]string, len(infos))
	for i := range infos {
		names[i] = infos[i].Name
	}
	problems := cfg.CheckModules(names)
	for _, i := range infos {
		if found, ok := errors.AsType[config.Problems](cfg.DecodeModule(i.Name, options(i))); ok {
			problems = append(problems, found...)
		}
	}
	return problems
}

// options is what the module's options are decoded into.
func options(i modules.Info) any {
	if i.Options == nil {
		return new(struct{})
	}
	return i.Options
}
