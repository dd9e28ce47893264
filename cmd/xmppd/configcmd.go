package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xmppd/xmppd/config"
	"github.com/xmppd/xmppd/modules/all"
)

func (p *program) checkConfig() *cobra.Command {
	return &cobra.Command{
		Use:   "check-config",
		Short: "Check the configuration and say what is wrong",
		Long: `Reads the configuration as serve would, with the options of all modules, and
looks at the files it names. Every problem is one line with file, line, key and
value. The exit code is 1 if there is any.`,
		Example: "  xmppd check-config --config /etc/xmppd/xmppd.yml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := p.load()
			if err != nil {
				return err
			}
			source := cfg.Source()
			if source == "" {
				source = "no file, only defaults and environment"
			}
			fmt.Fprintf(p.out, "the configuration is valid (%s)\n", source)
			return nil
		},
	}
}

func (p *program) printConfig() *cobra.Command {
	markdown := false
	c := &cobra.Command{
		Use:   "config",
		Short: "Print every configuration key with its default, unit and explanation",
		Long: `Prints a complete configuration file with every key at its default. It does
not show the configuration in use.`,
		Example: "  xmppd config > xmppd.yml",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			render := config.YAML
			if markdown {
				render = config.Markdown
			}
			_, err := fmt.Fprint(p.out, render(config.Options(all.Options()...)))
			return err
		},
	}
	c.Flags().BoolVar(&markdown, "markdown", false, "print the page of the documentation instead")
	return c
}
