package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/spf13/viper"
)

// delimiter separates the levels of a key inside viper. Its default, the dot,
// would split domain names.
const delimiter = "::"

// Load reads the file at path, or with an empty path the first that exists of
// ./xmppd.yml and /etc/xmppd/xmppd.yml, or nothing. Variables of env (as from
// os.Environ) named XMPPD_… go over the file, the file over the defaults.
//
// All problems are found at once, in the order of the file. The Config is never
// nil, so that [Config.Check] can add what it finds, but one with problems must
// not be served.
func Load(path string, env []string) (*Config, []Problem) {
	return load(path, []string{"xmppd.yml", "/etc/xmppd/xmppd.yml"}, env, os.Geteuid() == 0)
}

// Defaults is the configuration of a server that nobody has configured.
func Defaults() *Config {
	c, _ := load("", nil, nil, false)
	return c
}

func load(path string, standard, env []string, root bool) (*Config, []Problem) {
	fields := configFields()
	c := &Config{DataDir: dataDir(env, root)}
	setDefaults(reflect.ValueOf(c).Elem(), fields)

	data, path, err := read(path, standard)
	doc := newDocument(path, fields)
	if err != nil {
		doc.report("", 0, "cannot be read: "+plain(err))
	} else {
		doc.parse(data)
		c.source = path
	}
	c.Modules, c.origins = doc.modules, doc.origins

	v := viper.NewWithOptions(viper.KeyDelimiter(delimiter))
	if err := v.MergeConfigMap(doc.values); err != nil {
		doc.report("", 0, plain(err))
	}
	r := reporter{config: c, fields: fields, problems: doc.problems}
	r.decoded("", v.UnmarshalExact(c, exact))
	r.environment(env)
	r.check()
	return c, r.problems.sorted()
}

// read returns the file at path, or the first standard one that exists.
func read(path string, standard []string) ([]byte, string, error) {
	if path != "" {
		data, err := os.ReadFile(path)
		return data, path, err
	}
	for _, path := range standard {
		data, err := os.ReadFile(path)
		if !errors.Is(err, fs.ErrNotExist) {
			return data, path, err
		}
	}
	return nil, "", nil
}

// dataDir follows systemd's StateDirectory=, the usual place of a daemon, or
// the XDG base directories.
func dataDir(env []string, root bool) string {
	get := func(name string) string {
		for _, entry := range env {
			if value, ok := strings.CutPrefix(entry, name+"="); ok {
				return value
			}
		}
		return ""
	}
	if dirs := get("STATE_DIRECTORY"); dirs != "" {
		first, _, _ := strings.Cut(dirs, ":") // systemd joins several with colons
		return first
	}
	if root {
		return "/var/lib/xmppd"
	}
	if data := get("XDG_DATA_HOME"); filepath.IsAbs(data) {
		return filepath.Join(data, "xmppd")
	}
	return filepath.Join(get("HOME"), ".local", "share", "xmppd")
}

// exact makes a decoder refuse what it would otherwise guess.
func exact(dc *mapstructure.DecoderConfig) {
	dc.TagName = "key"
	dc.WeaklyTypedInput = false
	dc.ZeroFields = true // a list replaces its default instead of overlaying it
	dc.DecodeHook = mapstructure.DecodeHookFuncValue(strict)
	dc.MatchName = func(key, field string) bool { return key == field }
}

// decode fills into from raw exactly, but for unknown keys.
func decode(raw, into any) error {
	dc := &mapstructure.DecoderConfig{Result: into}
	exact(dc)
	dec, err := mapstructure.NewDecoder(dc)
	if err != nil {
		return err
	}
	return dec.Decode(raw)
}

// plain is err without the name of the file, which the problem has already.
func plain(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}
