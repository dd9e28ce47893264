package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xmppd/xmppd/command"
	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules/all"
)

// program is one call of the binary with its surroundings, so that tests can
// have many.
type program struct {
	env      []string
	in       io.Reader
	out, err io.Writer

	configFile string // --config
}

// exit is an error with an exit code. What it says has been printed already if
// the text is empty.
type exit struct {
	code int
	text string
}

func (e *exit) Error() string { return e.text }

// run executes the command line and returns the exit code: 0, 1 for an error, 2
// for a command line that makes no sense, 3 when no server is running.
func (p *program) run(ctx context.Context, args []string) int {
	root := p.root()
	if filepath.Base(args[0]) == "ejabberdctl" {
		root = p.ctl("ejabberdctl")
		p.addConfigFlag(root)
	}
	root.SilenceUsage, root.SilenceErrors = true, true
	root.SetArgs(args[1:])
	root.SetIn(p.in)
	root.SetOut(p.out)
	root.SetErr(p.err)
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &exit{command.ExitUsage, fmt.Sprintf("%v; see %s --help", err, c.CommandPath())}
	})
	err := root.ExecuteContext(ctx)
	if err == nil {
		return command.ExitOK
	}
	// What is not ours is cobra's opinion about the command line.
	code, text := command.ExitUsage, root.Name()+": "+err.Error()
	if e, ok := errors.AsType[*exit](err); ok {
		code = e.code
		if e.text == "" {
			text = ""
		}
	}
	if text != "" {
		fmt.Fprintln(p.err, text)
	}
	return code
}

func (p *program) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "xmppd",
		Short: "XMPP server",
		Long: `xmppd serves XMPP clients over TCP and WebSocket. It needs no configuration:
without --config it reads ./xmppd.yml or /etc/xmppd/xmppd.yml if there is one,
and environment variables XMPPD_… go over both.`,
		Example: `  xmppd                                          serve
  xmppd ctl register juliet example.org SECRET   create an account
  xmppd config > xmppd.yml                       start a configuration file`,
		Args: cobra.NoArgs,
		RunE: p.serve,
	}
	root.CompletionOptions.HiddenDefaultCmd = false
	p.addConfigFlag(root)
	root.AddCommand(
		&cobra.Command{
			Use: "serve", Short: "Run the server (the default)", Args: cobra.NoArgs, RunE: p.serve,
			Example: "  xmppd serve --config /etc/xmppd/xmppd.yml",
		},
		p.checkConfig(), p.printConfig(), p.ctl("ctl"), p.version(),
	)
	return root
}

func (p *program) addConfigFlag(c *cobra.Command) {
	c.PersistentFlags().StringVarP(&p.configFile, "config", "f", "", "configuration file (default ./xmppd.yml, then /etc/xmppd/xmppd.yml)")
	_ = c.MarkPersistentFlagFilename("config", "yml", "yaml") // fails only for a flag that does not exist
}

func (p *program) serve(c *cobra.Command, _ []string) error {
	cfg, err := p.load((*config.Config).Occupied)
	if err != nil {
		return err
	}
	if err := p.serveNode(c.Context(), cfg); err != nil {
		return &exit{command.ExitError, strings.ReplaceAll(err.Error(), "\n", "\nxmppd: ")}
	}
	return nil
}

// load reads the configuration and prints every problem on a line of its own,
// those that further checks find among them.
func (p *program) load(further ...func(*config.Config) []config.Problem) (*config.Config, error) {
	cfg, problems := p.problems()
	for _, check := range further {
		problems = config.Sorted(append(problems, check(cfg)...))
	}
	if len(problems) == 0 {
		return cfg, nil
	}
	for _, problem := range problems {
		fmt.Fprintln(p.err, problem)
	}
	return nil, &exit{code: command.ExitError}
}

// problems reads the configuration, the options of all modules and the files
// that it names.
func (p *program) problems() (*config.Config, []config.Problem) {
	cfg, problems := config.Load(p.configFile, p.env)
	problems = append(problems, all.Problems(cfg)...)
	return cfg, config.Sorted(append(problems, cfg.Check()...))
}
