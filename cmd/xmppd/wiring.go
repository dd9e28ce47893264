package main

import (
	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/modules/all"
)

// declared has the declarations of the commands for the time when no server can
// be asked; they cannot be run.
func declared() *command.Set {
	set := new(command.Set)
	set.Add(admin.Commands(admin.Deps{}, set)...)
	for _, c := range all.Declared().Commands() {
		c.Run = nil
		set.Add(c)
	}
	return set
}
