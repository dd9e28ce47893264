package xmpptest

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Scenario is a file of testdata/scenarios: what clients send and what they
// must receive. A file begins with a comment that says which rule it is about
// and where that is written. Then come lines like these, the clients being
// named by their address, or without a domain by node and resource:
//
//	server:                                 configuration, as YAML, indented
//	only over tcp                           or websocket; otherwise it runs over both
//	account nurse                           an account that does not connect
//	romeo and juliet are friends            both see each other's presence
//	romeo sees juliet                       only romeo sees juliet's
//	romeo/home connects                     logs in and binds, sends no presence
//	romeo/home connects as thief            the client is called thief from now on
//	romeo/home connects over websocket      or tcp
//	romeo/home connects by sasl2            with Bind 2; the resource is the tag, and what the server makes of it stands for it
//	romeo/home connects by fast             with the token of its last login
//	romeo/home connects with stream management and carbons
//	romeo/home logs in                      but does not bind
//	romeo/home binds
//	romeo/home is available                 initial presence; the account's own copies of it are taken off
//	romeo/home is available with priority -1
//	romeo/home sends:                       elements, indented
//	romeo/home receives:                    exactly these next, in this order
//	romeo/home receives in any order:
//	romeo/home receives without stanza-id:  and there is none
//	romeo/home receives nothing             several, with commas: receive nothing
//	romeo/home disconnects                  closes the stream
//	romeo/home vanishes                     loses the connection
//	romeo/home's stream ends                and so does the connection
//	romeo/home's stream ends with conflict
//	romeo/home's session ends               by itself, after its connection
//
// What may follow "with", separated by "and": stream management, acknowledgements
// (which is stream management without resumption), carbons, inactivity, xml:lang
// de, mechanism SCRAM-SHA-256-PLUS, binding tls-exporter, agent a (any word stands
// for an installation), token HT-SHA-256-NONE. All of it goes into one request if
// the client connects by sasl2.
//
// A client with stream management answers requests of the server when it reads
// them, and [receives] does not show <r/> and <a/>:
//
//	romeo/home enables stream management    or acknowledgements
//	romeo/home acknowledges                 without being asked; also: 2 too many, 2 too few
//	romeo/home does not acknowledge         from now on, when it is asked
//	romeo/home is asked to acknowledge      once since the last such line; also: 2 times
//	romeo/home is not asked to acknowledge
//	romeo/home is acknowledged              asks, and is told the number of its stanzas
//	romeo/home loses its connection         what it has not read is lost; the server keeps the session
//	romeo/home resumes                      and sends again what was not handled; "as", "by" and "over" like connects
//	romeo/home cannot resume                and binds instead; "by" and "over" like connects
//	romeo/home cannot resume, told what was handled    <failed/> has the number of its stanzas; or: told nothing
//	romeo/home is inactive                  or active (XEP-0352)
//	10 minutes pass                         or seconds, hours: timers of this server do nothing else
//
// A message may have a <stanza-id/> that is not expected. Pings of the server that
// no step expects are answered and not seen.
//
// {any} and {name} stand for values, see [Match]; what a name has matched may
// be sent. The name of an account stands for its username, {stream} for the id of
// the stream that was enabled last. Before a client acts, the server has dealt with what other clients
// sent before, so that a scenario has one order of events. At the end no client
// may have received anything that the file does not name.
type Scenario struct {
	Name   string
	Config string
	Ways   []Way
	Still  bool // timers stand still unless the file says that time passes
	steps  []step
}

type step struct {
	line  int
	do    *rule
	args  []string
	block string // with its elements parsed, for receives
	want  []*Element
}

// rule is one kind of line.
type rule struct {
	re       *regexp.Regexp
	block    bool // indented elements follow
	accounts bool // names are accounts, not clients
	run      func(*run, step)
}

func line(pattern string, fn func(*run, step)) *rule {
	// A name is an account, an address or what follows "connects as".
	pattern = strings.ReplaceAll(pattern, "NAME", `([^\s,:']+)`)
	return &rule{re: regexp.MustCompile("^" + pattern + "$"), block: strings.HasSuffix(pattern, ":"), run: fn}
}

func accounts(pattern string, fn func(*run, step)) *rule {
	r := line(pattern, fn)
	r.accounts = true
	return r
}

var passes = regexp.MustCompile(`^(\d+) (second|minute|hour)s? pass(?:es)?$`)

func rules() []*rule {
	const by = `(?: by (sasl2|fast))?(?: over (tcp|websocket))?`
	return []*rule{
		accounts(`account NAME`, (*run).account),
		accounts(`NAME and NAME are friends`, (*run).friends),
		accounts(`NAME sees NAME`, (*run).sees),
		line(`NAME connects(?: as NAME)?`+by+`(?: with (.+))?`, (*run).connects),
		line(`NAME logs in`, (*run).logsIn),
		line(`NAME binds`, (*run).binds),
		line(`NAME is available(?: with priority (-?\d+))?`, (*run).available),
		line(`NAME sends:`, (*run).sends),
		line(`NAME receives( in any order)?( without stanza-id)?:`, (*run).receives),
		line(`([^:]+) receives? nothing`, (*run).nothing),
		line(`NAME (disconnects|vanishes)`, (*run).leaves),
		line(`NAME's stream ends(?: with (\S+))?`, (*run).ends),
		line(`NAME's session ends`, (*run).sessionEnds),
		line(`NAME enables (stream management|acknowledgements)`, (*run).enables),
		line(`NAME acknowledges(?: (\d+) too (many|few))?`, (*run).acknowledges),
		line(`NAME does not acknowledge`, (*run).ignores),
		line(`NAME is (not )?asked to acknowledge(?: (\d+) times)?`, (*run).asked),
		line(`NAME is acknowledged`, (*run).acknowledged),
		line(`NAME loses its connection`, (*run).loses),
		line(`NAME resumes(?: as NAME)?`+by, (*run).resumes),
		line(`NAME cannot resume`+by+`(?:, told (what was handled|nothing))?`, (*run).cannotResume),
		line(`NAME is (active|inactive)`, (*run).active),
		{re: passes, run: (*run).pass},
	}
}

// LoadScenarios reads all files of a folder.
func LoadScenarios(dir string) ([]*Scenario, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.scs"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no scenarios in %s", dir)
	}
	var all []*Scenario
	rules := rules()
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return nil, err
		}
		s := &Scenario{Name: strings.TrimSuffix(filepath.Base(f), ".scs"), Ways: []Way{TCP, WebSocket}}
		if err := s.parse(string(text), rules); err != nil {
			return nil, fmt.Errorf("%s:%w", filepath.Base(f), err)
		}
		all = append(all, s)
	}
	return all, nil
}

func (s *Scenario) parse(text string, rules []*rule) error {
	if !strings.HasPrefix(text, "# ") {
		return fmt.Errorf("1: a scenario begins with a comment that names the rule")
	}
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		l := strings.TrimRight(lines[i], " \t")
		if l == "" || l[0] == '#' {
			continue
		}
		at := i + 1
		var block []string
		for ; i+1 < len(lines) && (strings.TrimSpace(lines[i+1]) == "" || strings.HasPrefix(lines[i+1], " ")); i++ {
			block = append(block, lines[i+1])
		}
		if err := s.add(at, l, strings.TrimSpace(strings.Join(block, "\n")), strings.Join(block, "\n"), rules); err != nil {
			return fmt.Errorf("%d: %w", at, err)
		}
	}
	return nil
}

func (s *Scenario) add(at int, l, block, indented string, rules []*rule) (err error) {
	if way, ok := strings.CutPrefix(l, "only over "); ok {
		s.Ways = []Way{Way(way)}
		return nil
	}
	if passes.MatchString(l) {
		s.Still = true
	}
	if l == "server:" {
		s.Config = indented + "\n"
		return nil
	}
	i := slices.IndexFunc(rules, func(r *rule) bool { return r.re.MatchString(l) })
	if i < 0 {
		return fmt.Errorf("cannot be understood: %q", l)
	}
	st := step{line: at, do: rules[i], args: rules[i].re.FindStringSubmatch(l)[1:], block: block}
	if st.do.block != (block != "") {
		return fmt.Errorf("indented lines are missing, or too many: %q", l)
	}
	if st.do.block {
		if st.want, err = Parse(block); err != nil {
			return err
		}
	}
	s.steps = append(s.steps, st)
	return nil
}

// accounts are those that take part, as they are written.
func (s *Scenario) accounts() []string {
	var names []string
	for _, st := range s.steps {
		for _, name := range st.args {
			account, _, isClient := strings.Cut(name, "/")
			if isClient || st.do.accounts {
				names = append(names, account)
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
