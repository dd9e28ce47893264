package main

import (
	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/config"
)

// declared has the declarations of the commands for the time when no server can
// be asked; they cannot be run.
func declared() *command.Set {
	set := new(command.Set)
	set.Add(admin.Commands(admin.Deps{}, set)...)
	return set
}

// moduleOptions documents the options of all modules.
func moduleOptions() []config.Option { return nil }

// moduleProblems checks the options of all modules.
func moduleProblems(*config.Config) []config.Problem { return nil }
