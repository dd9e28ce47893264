package command_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/command"
)

// What ejabberdctl prints, and what its HTTP API answers, for each form.
func TestResultForms(t *testing.T) {
	t.Parallel()
	pair := command.TupleOf("detail", command.TextOf("name"), command.TextOf("value"))
	session := command.TupleOf("session", command.TextOf("jid"), command.IntOf("port"), command.ListOf("groups", command.TextOf("group")))
	tests := []struct {
		name  string
		form  command.Field
		value any
		text  string
		json  string
	}{
		{"success", command.Code(), true, "", "0"},
		{"failure", command.Code(), false, "", "1"},
		{"message", command.Message(), "User a@b successfully registered", "User a@b successfully registered", `"User a@b successfully registered"`},
		{"empty message", command.Message(), "", "", `""`},
		{"text of lines", command.TextOf("help"), "a\tb\nc", "a\tb\nc", `"a\tb\nc"`},
		{"int", command.IntOf("stat"), int64(42), "42", "42"},
		{"strings", command.ListOf("users", command.TextOf("username")), []string{"juliet", "romeo"}, "juliet\nromeo", `["juliet","romeo"]`},
		{"no strings", command.ListOf("users", command.TextOf("username")), []string{}, "", `[]`},
		{"ints", command.ListOf("ports", command.IntOf("port")), []int{1, 2}, "1\n2", `[1,2]`},
		{"tuple", session, command.Row{"a@b/c", int64(5222), []string{"x", "y"}}, "a@b/c\t5222\tx,y", `{"groups":["x","y"],"jid":"a@b/c","port":5222}`},
		{"rows", command.ListOf("sessions", session), []command.Row{{"a@b/c", int64(1), []string{}}, {"d@e/f", int64(2), []string{"z"}}},
			"a@b/c\t1\t\nd@e/f\t2\tz", `[{"groups":[],"jid":"a@b/c","port":1},{"groups":["z"],"jid":"d@e/f","port":2}]`},
		{"pairs", command.ListOf("details", pair), []command.Row{{"reason", "spam"}, {"bandate", "today"}}, "reason\tspam\nbandate\ttoday", `{"reason":"spam","bandate":"today"}`},
		{"no pairs", command.ListOf("details", pair), []command.Row{}, "", `{}`},
		{"a value that would break a line", command.ListOf("users", command.TextOf("username")), []string{"a\tb\nc"}, "a b c", `["a\tb\nc"]`},
		{"a stanza", pair, command.Row{"a", "<iq from='a&amp;b'/>"}, "a\t<iq from='a&amp;b'/>", `{"name":"a","value":"<iq from='a&amp;b'/>"}`},
		{"a column that would break a line", pair, command.Row{"a\n", "b\tc"}, "a \tb c", `{"name":"a\n","value":"b\tc"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if err := test.form.Check(test.value); err != nil {
				t.Fatal(err)
			}
			if got := test.form.Format(test.value); got != test.text {
				t.Errorf("prints %q, want %q", got, test.text)
			}
			raw, err := test.form.Encode(test.value)
			if err != nil || string(raw) != test.json {
				t.Errorf("encodes %s (%v), want %s", raw, err, test.json)
			}
			back, err := test.form.Decode(raw)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.value, back); diff != "" {
				t.Errorf("decoded again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	row := command.TupleOf("row", command.TextOf("a"), command.IntOf("b"))
	for _, test := range []struct {
		form  command.Field
		value any
	}{
		{command.Code(), "ok"},
		{command.Message(), nil},
		{command.IntOf("n"), "1"},
		{command.ListOf("l", command.TextOf("s")), "s"},
		{command.ListOf("l", command.TextOf("s")), []int{1}},
		{row, command.Row{"a"}},
		{row, command.Row{"a", "b"}},
		{command.ListOf("l", row), []command.Row{{"a", 1}, {1, "a"}}},
	} {
		if err := test.form.Check(test.value); err == nil {
			t.Errorf("%v passes as %s", test.value, test.form.Kind)
		}
	}
}

func sample() *command.Set {
	set := new(command.Set)
	set.Add(command.Command{
		Name: "add_rosteritem", Tags: []string{"roster"}, Short: "Add a contact to a roster",
		Long: "First paragraph, which is long enough that it has to be wrapped at the end of the line, somewhere.\nSecond.",
		Args: []command.Arg{
			{Name: "user", Type: command.User, Doc: "Name", Example: "juliet"},
			{Name: "host", Type: command.Host, Doc: "Domain", Example: "example.org"},
			{Name: "resource", Type: command.Resource, Example: "balcony"},
			{Name: "contact", Type: command.Address, Doc: "Address", Example: "romeo@example.net"},
			{Name: "nick", Type: command.String, Example: "Romeo's phone"},
			{Name: "secret", Type: command.Password, Example: "x y"},
			{Name: "priority", Type: command.Int, Doc: "Number", Example: "-1"},
			{Name: "groups", Type: command.Strings, Doc: "Groups", Example: "Friends,Team 1", Optional: true},
		},
		Result:  command.ListOf("contacts", command.TupleOf("contact", command.TextOf("jid"), command.TextOf("nick"))),
		Example: "romeo@example.net\tRomeo",
		Run: func(_ context.Context, a command.Args) (any, error) {
			account, err := a.Account("user", "host")
			if err != nil {
				return nil, err
			}
			return []command.Row{{a.JID("contact").String(), fmt.Sprintf("%s/%s %s %d %v %t", account,
				a.String("resource"), a.String("nick"), a.Int("priority"), a.Strings("groups"), a.Has("groups"))}}, nil
		},
	}, command.Command{
		Name: "status", Tags: []string{"server"}, Short: "Show the status", Result: command.Message(),
		Run: func(context.Context, command.Args) (any, error) { return "fine", nil },
	}, command.Command{
		Name: "stats", Tags: []string{"server", "statistics"}, Short: "Show figures", Result: command.IntOf("n"),
		Run: func(context.Context, command.Args) (any, error) { return "not a number", nil },
	}, command.Command{Name: "declared", Tags: []string{"x"}, Short: "Cannot run"})
	return set
}

func TestWords(t *testing.T) {
	t.Parallel()
	set := sample()
	add, _ := set.Lookup("add-rosteritem")
	ok := []string{"Juliet", "EXAMPLE.org", "balcony", "Romeo@Example.net/x", "R", "pass,word", "-1", "b,,a"}
	with := func(i int, word string) []string {
		words := append([]string(nil), ok...)
		words[i] = word
		return words
	}
	tests := []struct {
		name  string
		words []string
		want  string // the result printed, or the error
	}{
		{"prepared", ok, "romeo@example.net/x\tjuliet@example.org/balcony R -1 [b a] true"},
		{"without the optional one", ok[:7], "romeo@example.net/x\tjuliet@example.org/balcony R -1 [] false"},
		{"empty text", with(4, ""), "romeo@example.net/x\tjuliet@example.org/balcony  -1 [b a] true"},
		{"too few", ok[:6], "the command add_rosteritem requires 1 argument more"},
		{"too many", append(ok[:8:8], "x", "y"), "the command add_rosteritem requires 2 arguments less"},
		{"user with a domain", with(0, "a@b"), `user is no valid user`},
		{"no user", with(0, ""), `user is no valid user`},
		{"no host", with(1, ""), `host is no valid host`},
		{"host with a slash", with(1, "a/b"), `host is no valid host`},
		{"no resource", with(2, ""), `resource is no valid resource`},
		{"no address", with(3, "@"), `contact is no valid jid`},
		{"no number", with(6, "1.5"), `priority must be an integer, not "1.5"`},
		{"huge number", with(6, "99999999999999999999"), `priority must be an integer`},
		{"NUL", with(4, "a\x00"), `nick holds a NUL byte`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			object, err := add.ParseWords(test.words)
			if err != nil {
				if command.ExitCode(err) != command.ExitUsage || !strings.HasPrefix(err.Error(), test.want) {
					t.Errorf("error %v (exit %d), want %s", err, command.ExitCode(err), test.want)
				}
				return
			}
			c, v, err := set.Call(t.Context(), "add_rosteritem", object)
			if err != nil {
				t.Fatal(err)
			}
			if got := c.Result.Format(v); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCallJSON(t *testing.T) {
	t.Parallel()
	set := sample()
	const ok = `"user":"a","host":"b.c","resource":"r","contact":"d@e","nick":"n","secret":"s","priority":3`
	tests := []struct {
		command, args string
		code, status  int
		want          string
	}{
		{"status", ``, 0, 200, ""},
		{"status", `{}`, 0, 200, ""},
		{"status", `[]`, 2, 400, "the arguments of status are no JSON object"},
		{"status", `{"x":1}`, 2, 400, `the command status has no argument "x"`},
		{"nothing", `{}`, 2, 404, `command "nothing" not known`},
		{"declared", `{}`, 1, 503, "not_available: declared is not available here"},
		{"stats", `{}`, 1, 500, "check the result of stats: n is string, not of kind integer"},
		{"add_rosteritem", `{` + ok + `}`, 0, 200, ""},
		{"add_rosteritem", `{` + ok + `,"groups":["a"]}`, 0, 200, ""},
		{"add_rosteritem", `{` + ok + `,"groups":"a"}`, 2, 400, "groups must be a list of strings"},
		{"add_rosteritem", `{}`, 2, 400, "the command add_rosteritem lacks its argument user"},
		{"add_rosteritem", `{"user":null}`, 2, 400, "user must be a string"},
		{"add_rosteritem", `{"user":1}`, 2, 400, "user must be a string"},
		{"add_rosteritem", strings.Replace(`{`+ok+`}`, "3", "3.5", 1), 2, 400, "priority must be an integer, not 3.5"},
		{"add_rosteritem", strings.Replace(`{`+ok+`}`, "3", `null`, 1), 2, 400, "priority must be an integer"},
	}
	for _, test := range tests {
		_, _, err := set.Call(t.Context(), test.command, json.RawMessage(test.args))
		if command.ExitCode(err) != test.code || command.HTTPStatus(err) != test.status || err != nil && !strings.HasPrefix(err.Error(), test.want) {
			t.Errorf("%s %s: %v (exit %d, status %d), want %s (%d, %d)", test.command, test.args, err,
				command.ExitCode(err), command.HTTPStatus(err), test.want, test.code, test.status)
		}
	}
}

func TestExitCodes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err          error
		exit, status int
		text         string
	}{
		{command.Errorf(command.Failed, "x"), 1, 500, "x"},
		{command.Errorf(command.Conflict, "x"), 1, 409, "conflict: x"},
		{command.Errorf(command.NotFound, "x"), 1, 404, "not_found: x"},
		{command.Errorf("own_reason", "x"), 1, 500, "own_reason: x"},
		{command.Errorf(command.Usage, "x"), 2, 400, "x"},
		{fmt.Errorf("wrapped: %w", command.Errorf(command.Unknown, "x")), 2, 404, "wrapped: x"},
		{errors.New("x"), 1, 500, "x"},
	} {
		if command.ExitCode(test.err) != test.exit || command.HTTPStatus(test.err) != test.status || test.err.Error() != test.text {
			t.Errorf("%v: exit %d, status %d", test.err, command.ExitCode(test.err), command.HTTPStatus(test.err))
		}
	}
}

func TestAddPanics(t *testing.T) {
	t.Parallel()
	good := command.Command{Name: "a", Tags: []string{"t"}, Short: "s"}
	for name, cmds := range map[string][]command.Command{
		"twice":              {good, good},
		"bad name":           {{Name: "a-b", Tags: []string{"t"}, Short: "s"}},
		"no text":            {{Name: "a", Tags: []string{"t"}}},
		"no tag":             {{Name: "a", Short: "s"}},
		"required last":      {{Name: "a", Tags: []string{"t"}, Short: "s", Args: []command.Arg{{Name: "x", Optional: true}, {Name: "y"}}}},
		"same argument":      {{Name: "a", Tags: []string{"t"}, Short: "s", Args: []command.Arg{{Name: "x"}, {Name: "x"}}}},
		"list of nothing":    {{Name: "a", Tags: []string{"t"}, Short: "s", Result: command.Field{Name: "l", Kind: command.List}}},
		"nested list of row": {{Name: "a", Tags: []string{"t"}, Short: "s", Result: command.ListOf("l", command.ListOf("m", command.TextOf("s")))}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			new(command.Set).Add(cmds...)
		}()
	}
}

// A client that knows the declarations only as JSON does the same as the server.
func TestDeclarationsTravel(t *testing.T) {
	t.Parallel()
	set := sample()
	raw, err := json.Marshal(set.All())
	if err != nil {
		t.Fatal(err)
	}
	var list []command.Command
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	far := new(command.Set)
	far.Add(list...)
	for _, words := range [][]string{nil, {"--tags"}, {"stat*"}, {"add_rosteritem"}} {
		want, err1 := set.Help("p", words)
		got, err2 := far.Help("p", words)
		if err1 != nil || err2 != nil || want != got {
			t.Errorf("help %v differs: %v, %v\n%s", words, err1, err2, cmp.Diff(want, got))
		}
	}
	for _, bad := range []string{`{"type":"float"}`, `{"type":1}`} {
		if err := json.Unmarshal([]byte(bad), new(command.Arg)); err == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
	if err := json.Unmarshal([]byte(`{"kind":"float"}`), new(command.Field)); err == nil {
		t.Error("an unknown kind is accepted")
	}
}
