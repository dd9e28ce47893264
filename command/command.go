// Package command describes admin commands: each is declared once, with its
// name, typed arguments, result and example, and every front end (the Unix
// socket behind xmppd ctl, HTTP later) reads and runs the same declaration.
//
// Names, the order of arguments and the printed forms are those of
// ejabberdctl, so that scripts written for it keep working.
package command

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Command is one admin command. All fields but Run are plain data: encoded as
// JSON it is what a client needs to check arguments and print results.
type Command struct {
	Name   string   `json:"name"` // lower case words joined by "_"
	Tags   []string `json:"tags"` // areas, as in "help --tags"; the first is the main one
	Short  string   `json:"short"`
	Long   string   `json:"long,omitempty"`
	Args   []Arg    `json:"args"`
	Result Field    `json:"result"`
	// Example is what the command prints when called with the examples of its
	// arguments; empty for results of kind Rescode.
	Example string `json:"example,omitempty"`
	// Run executes the command. It is called concurrently. The value has the
	// form that Result describes (see Kind); an *Error tells the front end what
	// kind of failure it was, any other error is shown as its text.
	Run func(ctx context.Context, a Args) (any, error) `json:"-"`
}

// Type is what an argument must be. Parts of addresses are prepared (RFC 7622)
// before Run sees them.
type Type uint8

// The types of arguments.
const (
	String   Type = iota // any text
	Int                  // a decimal number
	User                 // a localpart
	Host                 // a domain
	Resource             // a resourcepart
	Address              // an address, bare or full
	Password             // text that is never logged or shown; on a command line "-" reads it from the standard input
	Strings              // a list; on a command line its elements are separated by ","
)

var typeNames = []string{"string", "integer", "user", "host", "resource", "jid", "password", "list"}

// String is the name of the type, as help shows it.
func (t Type) String() string { return typeNames[t] }

// MarshalText implements encoding.TextMarshaler.
func (t Type) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Type) UnmarshalText(b []byte) error {
	i := slices.Index(typeNames, string(b))
	if i < 0 {
		return fmt.Errorf("unknown argument type %q", b)
	}
	*t = Type(i)
	return nil
}

// Arg is one argument. Optional ones come last.
type Arg struct {
	Name     string `json:"name"`
	Type     Type   `json:"type"`
	Doc      string `json:"doc,omitempty"`
	Example  string `json:"example,omitempty"` // as typed on a command line
	Optional bool   `json:"optional,omitempty"`
}

// Set holds the commands of a server. It is filled at start-up; afterwards it
// is safe for concurrent use.
type Set struct {
	byName map[string]*Command
}

// Add registers commands. It panics on a name that is taken or a declaration
// that is not complete, both of which are programming errors.
func (s *Set) Add(cmds ...Command) {
	if s.byName == nil {
		s.byName = make(map[string]*Command)
	}
	for _, c := range cmds {
		if err := c.check(); err != nil {
			panic("command: " + err.Error())
		}
		if s.byName[c.Name] != nil {
			panic("command: " + c.Name + " is declared twice")
		}
		if c.Args == nil {
			c.Args = []Arg{}
		}
		s.byName[c.Name] = &c
	}
}

func (c *Command) check() error {
	if c.Name == "" || strings.Trim(c.Name, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" {
		return fmt.Errorf("bad name %q", c.Name)
	}
	if c.Short == "" || len(c.Tags) == 0 {
		return fmt.Errorf("%s lacks its description or tags", c.Name)
	}
	optional, names := false, make(map[string]bool, len(c.Args))
	for _, a := range c.Args {
		if a.Name == "" || names[a.Name] || optional && !a.Optional {
			return fmt.Errorf("%s: argument %q has no name of its own or follows an optional one", c.Name, a.Name)
		}
		optional, names[a.Name] = a.Optional, true
	}
	return c.Result.checkForm(c.Name)
}

// Lookup finds a command. As with ejabberdctl "-" stands for "_".
func (s *Set) Lookup(name string) (*Command, bool) {
	c, ok := s.byName[strings.ReplaceAll(name, "-", "_")]
	return c, ok
}

// All lists the commands by name.
func (s *Set) All() []*Command {
	all := make([]*Command, 0, len(s.byName))
	for _, c := range s.byName {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Command) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Call runs a command with arguments as a JSON object, which is how all front
// ends call it, and checks that the value has the declared form.
func (s *Set) Call(ctx context.Context, name string, args json.RawMessage) (*Command, any, error) {
	c, ok := s.Lookup(name)
	if !ok {
		return nil, nil, Errorf(Unknown, "command %q not known", name)
	}
	a, err := c.ParseJSON(args)
	if err != nil {
		return c, nil, err
	}
	if c.Run == nil {
		return c, nil, Errorf(Unavailable, "%s is not available here", c.Name)
	}
	v, err := c.Run(ctx, a)
	if err != nil {
		return c, nil, err
	}
	if err := c.Result.Check(v); err != nil {
		return c, nil, fmt.Errorf("check the result of %s: %w", c.Name, err)
	}
	return c, v, nil
}
