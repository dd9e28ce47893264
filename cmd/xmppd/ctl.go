package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/xmppd/xmppd/admin"
	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/config"
)

// ctl talks to a running server.
type ctl struct {
	*program
	name   string // how the person calls us, for help
	socket string // --socket
	json   bool   // --json
}

func (p *program) ctl(name string) *cobra.Command {
	t := &ctl{program: p, name: name}
	if name == "ctl" {
		t.name = "xmppd ctl"
	}
	c := &cobra.Command{
		Use:   name + " COMMAND [ARGUMENT…]",
		Short: "Administer a running server",
		Long: `Runs a command on the server that serves the data folder of the configuration.
Names, arguments, output and exit codes are those of ejabberdctl: 0 success,
1 error, 2 wrong usage, 3 no server is running. A password given as - is read
from the standard input. Options come before the command.`,
		Example: strings.ReplaceAll(`  @ help
  @ help register
  @ register juliet example.org SECRET
  @ --json connected_users_info`, "@", t.name),
		Args:              cobra.ArbitraryArgs,
		ValidArgsFunction: t.complete,
		RunE:              func(c *cobra.Command, args []string) error { return t.run(c.Context(), args) },
	}
	f := c.Flags()
	f.SetInterspersed(false) // arguments may begin with "-"
	f.StringVar(&t.socket, "socket", "", "socket of the server (default from the configuration)")
	f.BoolVar(&t.json, "json", false, "print the result as JSON")
	_ = c.MarkFlagFilename("socket", "sock")
	// What scripts pass to ejabberdctl and means nothing here.
	for _, o := range [][2]string{{"node", "n"}, {"spool", "s"}, {"logs", "l"}, {"ctl-config", "c"}, {"config-dir", "d"}, {"version", ""}} {
		f.StringP(o[0], o[1], "", "ignored")
		_ = f.MarkHidden(o[0])
	}
	f.BoolP("no-timeout", "t", false, "ignored")
	_ = f.MarkHidden("no-timeout")
	return c
}

func (t *ctl) run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return t.fail(command.ExitUsage, "which command? See %s help", t.name)
	}
	path, err := t.socketPath()
	if err != nil {
		return err
	}
	client := admin.Dial(path)
	set, err := fetch(ctx, client)
	if args[0] == "help" {
		return t.help(set, args[1:], err)
	}
	if err != nil {
		return t.unreachable(path, err)
	}
	c, ok := set.Lookup(args[0])
	if !ok {
		return t.fail(command.ExitUsage, "command %q not known; see %s help", args[0], t.name)
	}
	words := args[1:]
	if n := len(words); n == len(c.Args)+1 && words[n-1] == "--json" {
		t.json, words = true, words[:n-1]
	}
	if words, err = t.passwords(c, words); err != nil {
		return t.fail(command.ExitError, "%v", err)
	}
	object, err := c.ParseWords(words)
	if err != nil {
		return t.fail(command.ExitUsage, "%v; see %s help %s", err, t.name, c.Name)
	}
	bar := bar{w: t.err, name: c.Name}
	var progress func(done, of int64)
	if !t.json && terminal(t.err) {
		progress = bar.draw
	}
	result, err := client.Call(ctx, c.Name, object, progress)
	bar.clear()
	if err != nil {
		if errors.Is(err, admin.ErrNotRunning) {
			return t.unreachable(path, err)
		}
		return t.failed(err)
	}
	if c.Name == "stop" {
		if err := client.WaitGone(ctx); err != nil {
			return t.fail(command.ExitError, "the server is stopping; not waiting for its end any longer")
		}
	}
	return t.print(c, result)
}

// fetch asks for the declarations; only a server that hangs takes long for that.
func fetch(ctx context.Context, client *admin.Client) (*command.Set, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return client.Commands(ctx)
}

// help explains commands, those of the server if it answers.
func (t *ctl) help(set *command.Set, words []string, unreachable error) error {
	if unreachable != nil {
		set = declared()
	}
	text, err := set.Help(t.name, words)
	if err != nil {
		return t.fail(command.ExitUsage, "%v", err)
	}
	fmt.Fprint(t.out, text)
	if unreachable != nil && len(words) == 0 {
		fmt.Fprintln(t.out, "No server answers; a running one may have more commands.")
	}
	return nil
}

// print shows a result. The exit code of a Rescode is its value.
func (t *ctl) print(c *command.Command, result json.RawMessage) error {
	v, err := c.Result.Decode(result)
	if err != nil {
		return t.fail(command.ExitError, "decode the result of %s: %v", c.Name, err)
	}
	if t.json {
		object, err := c.Result.Encode(v) // for people: without the escapes of the socket
		if err != nil {
			return t.fail(command.ExitError, "encode the result of %s: %v", c.Name, err)
		}
		fmt.Fprintln(t.out, string(object))
	} else if text := c.Result.Format(v); text != "" {
		fmt.Fprintln(t.out, text)
	}
	if v == false {
		return &exit{code: command.ExitError}
	}
	return nil
}

// failed shows the failure of a command where ejabberdctl does: on the standard
// output, behind "Error: ".
func (t *ctl) failed(err error) error {
	code := command.ExitCode(err)
	if code != command.ExitError {
		return t.fail(code, "%v", err)
	}
	if t.json {
		out, err := json.Marshal(admin.NewFailure(err))
		if err != nil {
			return t.fail(code, "%v", err)
		}
		fmt.Fprintln(t.out, string(out))
	} else {
		fmt.Fprintf(t.out, "Error: %v\n", err)
	}
	return &exit{code: code}
}

func (t *ctl) unreachable(path string, err error) error {
	switch {
	case errors.Is(err, admin.ErrNotRunning):
		return t.fail(command.ExitNotRunning, "no server answers on %s; is it running?", path)
	case errors.Is(err, fs.ErrPermission):
		return t.fail(command.ExitError, "%s belongs to another user; run this as the user of the server or as root", path)
	}
	return t.fail(command.ExitError, "%v", err)
}

// fail reports trouble of the tool itself on the standard error output.
func (t *ctl) fail(code int, format string, args ...any) error {
	fmt.Fprintf(t.err, "%s: %s\n", t.name, fmt.Sprintf(format, args...))
	return &exit{code: code}
}

// socketPath is where the server listens. A configuration with problems will
// do, for it may have been broken after the server read it, as long as the
// folder is known.
func (t *ctl) socketPath() (string, error) {
	if t.socket != "" {
		return t.socket, nil
	}
	cfg, problems := config.Load(t.configFile, t.env)
	if i := slices.IndexFunc(problems, func(p config.Problem) bool { return p.Key == "" || p.Key == "data_dir" }); i >= 0 {
		return "", t.fail(command.ExitError, "%v", problems[i])
	}
	return cfg.Socket(), nil
}

// passwords replaces "-" in the place of a password by a line of the standard
// input.
func (t *ctl) passwords(c *command.Command, words []string) ([]string, error) {
	words = slices.Clone(words)
	in := bufio.NewReader(t.in)
	for i := range min(len(words), len(c.Args)) {
		if c.Args[i].Type != command.Password || words[i] != "-" {
			continue
		}
		line, err := in.ReadString('\n')
		if err != nil && !(errors.Is(err, io.EOF) && line != "") {
			return nil, fmt.Errorf("read the %s from the standard input: %w", c.Args[i].Name, err)
		}
		words[i] = strings.TrimRight(line, "\r\n")
	}
	return words, nil
}

// complete offers the names of commands to the shell.
func (t *ctl) complete(c *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && args[0] != "help" || len(args) > 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	set := declared()
	if path, err := t.socketPath(); err == nil {
		if running, err := fetch(c.Context(), admin.Dial(path)); err == nil {
			set = running
		}
	}
	var names []string
	for _, c := range set.All() {
		names = append(names, c.Name+"\t"+c.Short)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
