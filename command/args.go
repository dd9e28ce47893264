package command

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"

	"github.com/xmppd/xmppd/jid"
)

// Args holds the arguments of one call, checked against the declaration. The
// zero value has none.
type Args struct {
	values map[string]any // string, int64 or []string
}

// String is a textual argument; empty if it is optional and was not given.
func (a Args) String(name string) string { s, _ := a.values[name].(string); return s }

// Int is a number; zero if it is optional and was not given.
func (a Args) Int(name string) int64 { n, _ := a.values[name].(int64); return n }

// Strings is a list argument.
func (a Args) Strings(name string) []string { l, _ := a.values[name].([]string); return l }

// Has reports whether the argument was given.
func (a Args) Has(name string) bool { _, ok := a.values[name]; return ok }

// JID is an argument of type Address.
func (a Args) JID(name string) jid.JID {
	j, _ := jid.Parse(a.String(name))
	return j
}

// Account is the bare address that two arguments make, usually "user" and
// "host", already prepared.
func (a Args) Account(user, host string) (jid.JID, error) {
	j, err := jid.New(a.String(user), a.String(host), "")
	if err != nil {
		return jid.JID{}, Errorf(Usage, "%s and %s make no address: %v", user, host, err)
	}
	return j, nil
}

// ParseWords checks the arguments of a command line and returns them as the
// JSON object for Call. It is a usage error if there are too many, too few or
// wrong ones.
func (c *Command) ParseWords(words []string) (json.RawMessage, error) {
	required := 0
	for _, a := range c.Args {
		if !a.Optional {
			required++
		}
	}
	switch {
	case len(words) < required:
		return nil, Errorf(Usage, "the command %s requires %s more", c.Name, plural(required-len(words), "argument"))
	case len(words) > len(c.Args):
		return nil, Errorf(Usage, "the command %s requires %s less", c.Name, plural(len(words)-len(c.Args), "argument"))
	}
	object := make(map[string]any, len(words))
	for i, w := range words {
		a := c.Args[i]
		v, err := a.fromWord(w)
		if err != nil {
			return nil, err
		}
		object[a.Name] = v
	}
	return json.Marshal(object)
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return strconv.Itoa(n) + " " + what + "s"
}

func (a Arg) fromWord(w string) (any, error) {
	switch a.Type {
	case Int:
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, Errorf(Usage, "%s must be an integer, not %q", a.Name, w)
		}
		return n, nil
	case Strings:
		list := []string{}
		for e := range strings.SplitSeq(w, ",") {
			if e != "" {
				list = append(list, e)
			}
		}
		return list, nil
	default:
		return a.text(w)
	}
}

// text checks and prepares a textual argument.
func (a Arg) text(s string) (string, error) {
	var prepared string
	switch a.Type {
	case User:
		j, _ := jid.New(s, "localhost", "")
		prepared = j.Local()
	case Host:
		j, _ := jid.New("", s, "")
		prepared = j.Domain()
	case Resource:
		j, _ := jid.New("", "localhost", s)
		prepared = j.Resource()
	case Address:
		j, _ := jid.Parse(s)
		prepared = j.String()
	default:
		if strings.ContainsRune(s, 0) {
			return "", Errorf(Usage, "%s holds a NUL byte", a.Name)
		}
		return s, nil
	}
	if prepared == "" {
		return "", Errorf(Usage, "%s is no valid %s: %q", a.Name, a.Type, s)
	}
	return prepared, nil
}

// ParseJSON checks a JSON object of arguments, with names as declared, and
// prepares addresses. Unknown names and wrong types are usage errors. Empty
// input counts as an empty object.
func (c *Command) ParseJSON(data json.RawMessage) (Args, error) {
	var object map[string]json.RawMessage
	if len(bytes.TrimSpace(data)) > 0 {
		if err := json.Unmarshal(data, &object); err != nil {
			return Args{}, Errorf(Usage, "the arguments of %s are no JSON object: %v", c.Name, err)
		}
	}
	args := Args{values: make(map[string]any, len(object))}
	for _, a := range c.Args {
		raw, ok := object[a.Name]
		if !ok {
			if a.Optional {
				continue
			}
			return Args{}, Errorf(Usage, "the command %s lacks its argument %s", c.Name, a.Name)
		}
		v, err := a.fromJSON(raw)
		if err != nil {
			return Args{}, err
		}
		args.values[a.Name] = v
		delete(object, a.Name)
	}
	for name := range object {
		return Args{}, Errorf(Usage, "the command %s has no argument %q", c.Name, name)
	}
	return args, nil
}

func (a Arg) fromJSON(raw json.RawMessage) (any, error) {
	switch a.Type {
	case Int:
		var n json.Number
		if err := json.Unmarshal(raw, &n); err != nil {
			return nil, Errorf(Usage, "%s must be an integer", a.Name)
		}
		i, err := strconv.ParseInt(n.String(), 10, 64)
		if err != nil || i == math.MinInt64 {
			return nil, Errorf(Usage, "%s must be an integer, not %s", a.Name, n)
		}
		return i, nil
	case Strings:
		list := []string{}
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, Errorf(Usage, "%s must be a list of strings", a.Name)
		}
		return list, nil
	default:
		var s *string
		if err := json.Unmarshal(raw, &s); err != nil || s == nil {
			return nil, Errorf(Usage, "%s must be a string", a.Name)
		}
		return a.text(*s)
	}
}
