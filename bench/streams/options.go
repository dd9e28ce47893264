package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"
)

// options are the flags that all commands share, and what is made of them.
type options struct {
	flags *flag.FlagSet

	addr, host, security, curve string
	mechanism, tokenMechanism   string
	early                       bool
	prefix, password, resource  string
	first, sources, parallel    int
	pids                        string
	json                        bool
	timeout                     time.Duration

	kindName string
	kind     kind

	trees []int // roots of the server's process trees
	tls   *tls.Config
	keys  *keyring
}

func newOptions(name string) *options {
	f := flag.NewFlagSet("streams "+name, flag.ContinueOnError)
	o := &options{flags: f, keys: new(keyring)}
	f.StringVar(&o.addr, "addr", "127.0.0.1:5222", "server, in 127.0.0.0/8")
	f.StringVar(&o.host, "host", "localhost", "XMPP domain")
	f.StringVar(&o.security, "tls", "starttls", "starttls | direct | none")
	f.StringVar(&o.curve, "curve", "x25519", "key exchange: x25519 (the same for every server) | default (Go's choice)")
	f.StringVar(&o.prefix, "user-prefix", "u", "users are PREFIX0, PREFIX1, ...")
	f.StringVar(&o.password, "pass", "pass", "password of every user")
	f.IntVar(&o.first, "first", 0, "number of the first user")
	f.IntVar(&o.sources, "sources", 8, "source addresses 127.0.0.2 and up, to get past the range of ports")
	f.BoolVar(&o.json, "json", false, "print one JSON object")
	f.DurationVar(&o.timeout, "timeout", 30*time.Second, "limit of one login")
	return o
}

// withLogin adds the flags of commands that log in; kind is what they default to.
func (o *options) withLogin(kind string) *options {
	f := o.flags
	f.StringVar(&o.kindName, "kind", kind, "how to log in: "+kindNames())
	f.StringVar(&o.mechanism, "mech", "SCRAM-SHA-256", "mechanism of passwords: SCRAM-SHA-1, -256 or -512, or one of these with -PLUS")
	f.StringVar(&o.tokenMechanism, "token-mech", "HT-SHA-256-NONE", "mechanism of tokens: HT-SHA-256 or -512 with -NONE, -ENDP or -EXPR")
	f.BoolVar(&o.early, "early", true, "with a token: send header and <authenticate/> in one packet, before the features are known")
	f.StringVar(&o.resource, "resource", "bench", "resource to bind; the tag for Bind 2")
	f.IntVar(&o.parallel, "conc", 8, "logins at a time")
	f.StringVar(&o.pids, "pid", "", "server's processes, with all their children: PID or @FILE, several by commas")
	return o
}

// maxClients bounds what one run may open.
const maxClients = 100_000

func (o *options) parse(args []string) error {
	if err := o.flags.Parse(args); err != nil {
		return err
	}
	if o.flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", o.flags.Arg(0))
	}
	if err := loopback(o.addr); err != nil {
		return err
	}
	switch {
	case o.security != "starttls" && o.security != "direct" && o.security != "none":
		return fmt.Errorf("bad -tls %q", o.security)
	case o.sources < 0 || o.sources > 200:
		return fmt.Errorf("-sources must be 0..200")
	case o.first < 0 || o.first > 10*maxClients:
		return fmt.Errorf("bad -first %d", o.first)
	case o.parallel < 0 || o.parallel > 10_000:
		return fmt.Errorf("bad -conc %d", o.parallel)
	}
	// Nobody's certificate is judged here: the server is on the loopback.
	o.tls = &tls.Config{ServerName: o.host, InsecureSkipVerify: true}
	if o.curve == "x25519" {
		o.tls.CurvePreferences = []tls.CurveID{tls.X25519}
	}
	if o.security == "direct" {
		o.tls.NextProtos = []string{"xmpp-client"} // XEP-0368
	}
	var err error
	if o.kindName != "" {
		if o.kind, err = parseKind(o.kindName); err != nil {
			return err
		}
	}
	o.trees, err = parsePIDs(o.pids)
	return err
}

// between checks a number that a flag has set.
func between[T int | float64 | time.Duration](name string, v, lowest, highest T) error {
	if v < lowest || v > highest {
		return fmt.Errorf("-%s must be %v..%v", name, lowest, highest)
	}
	return nil
}

// loopback refuses every address that is not in 127.0.0.0/8.
func loopback(addr string) error {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || !ip.Is4() || !ip.IsLoopback() {
		return fmt.Errorf("%s: only addresses in 127.0.0.0/8 are allowed", addr)
	}
	return nil
}

// account is what the client of one user keeps from connection to connection.
type account struct {
	index  int
	name   string
	token  string // of FAST; empty: log in with the password
	previd string // of the session that can be resumed
	h      uint32 // stanzas received in that session
}

func (o *options) account(i int) *account {
	return &account{index: o.first + i, name: o.prefix + strconv.Itoa(o.first+i)}
}

func (o *options) accounts(n int) []*account {
	all := make([]*account, n)
	for i := range all {
		all[i] = o.account(i)
	}
	return all
}

// agent is the id of the client's installation, a UUID of version 4 (XEP-0388 §2.3).
func (a *account) agent() string { return fmt.Sprintf("b0b0b0b0-0000-4000-8000-%012x", a.index) }
