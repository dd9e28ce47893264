package c2s

import (
	"bytes"
	"context"
	"encoding/base64"

	"github.com/xmppd/xmppd/auth"
	"github.com/xmppd/xmppd/stanza"
)

const nsScramUpgrade = "urn:xmpp:scram-upgrade:0"

// task is one that the client has asked for and that has been offered to it
// (XEP-0480).
type task struct {
	name       string
	salt       []byte
	iterations int
}

// nextTask offers the next of the tasks that the client has asked for, if there
// is one that its account needs; else the login is done. additional is the last
// word of the mechanism.
func (c *conn) nextTask(additional []byte) bool {
	name, salt, iterations, err := c.exchange.NextUpgrade(c.wishes.upgrades)
	if err != nil {
		return c.fail(err, 0)
	}
	if name == "" {
		return c.welcome(additional)
	}
	c.wishes.task = task{name, salt, iterations}
	c.m.state = taskOffered
	b := stanza.NewBuilder(nil).Open("continue", nsSASL2)
	if additional != nil {
		b.Text("additional-data", base64.StdEncoding.EncodeToString(additional))
	}
	c.out.Append(b.Open("tasks", "").Text("task", name).Bytes())
	return true
}

// task goes on with the one that was offered: <next/> or <task-data/>.
func (c *conn) task(e stanza.Elem) bool {
	t := &c.wishes.task
	if c.m.state == taskOffered {
		if name, _ := e.Attr("task"); name != t.name {
			return c.fail(malformed("this task was not offered"), 0)
		}
		c.m.state = inTask
		c.out.Append(stanza.NewBuilder(nil).Open("task-data", nsSASL2).
			Open("salt", nsScramUpgrade).Attr("iterations", itoa(t.iterations)).
			Chars(base64.StdEncoding.EncodeToString(t.salt)).Bytes())
		return true
	}
	hash, err := auth.Decode(bytes.TrimSpace(e.Child(nsScramUpgrade, "hash").Inner()))
	if err != nil {
		return c.fail(err, 0)
	}
	if err := c.exchange.SetUpgrade(context.Background(), t.name, hash); err != nil {
		return c.fail(err, 0)
	}
	return c.nextTask(nil)
}
