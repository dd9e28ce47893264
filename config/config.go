// Package config turns one YAML file and the XMPPD_… environment into typed,
// documented and strictly checked options. Every option is declared once, as a
// field of [Config] with its default, range, unit and explanation in tags; the
// loader, `xmppd config` and docs/CONFIG.md all read that declaration.
package config

import (
	"net/netip"
	"net/url"
	"path/filepath"
	"strings"
	"time"
)

// Size is a number of bytes. In the file it is a plain number or a number with
// one of the units KiB, MiB and GiB, such as 256KiB.
type Size int64

// Config is immutable after [Load]; a reload makes a new one, so that a pointer
// to it may be shared by all goroutines without a lock.
//
// The tags: key is the name in the file; default is written as it would be in
// the environment; min and max bound numbers, sizes and durations; oneof lists
// the words allowed; live marks what a reload applies without a restart; secret
// keeps a value out of messages.
type Config struct {
	Domains  []string `key:"domains" default:"localhost" doc:"Domains served; each is a world of its own with its own accounts."`
	DataDir  string   `key:"data_dir" show:"$STATE_DIRECTORY; else /var/lib/xmppd for root; else $XDG_DATA_HOME/xmppd or ~/.local/share/xmppd" doc:"Folder of the embedded database, the self-signed certificate and the control socket."`
	Database string   `key:"database" default:"sqlite" secret:"true" doc:"Either sqlite (a file in data_dir) or a postgres:// URL."`
	Admins   []string `key:"admins" live:"true" doc:"Accounts, as bare addresses, that may administer the server over XMPP; nothing asks for it yet."`

	ShutdownTimeout time.Duration `key:"shutdown_timeout" default:"30s" min:"1s" max:"10m" doc:"How long a stop waits for queued writes before it exits all the same."`

	Log             Log             `key:"log"`
	Listen          Listen          `key:"listen"`
	TLS             TLS             `key:"tls"`
	Registration    Registration    `key:"registration"`
	Auth            Auth            `key:"auth"`
	Streams         Streams         `key:"streams"`
	Limits          Limits          `key:"limits"`
	DatabaseOptions DatabaseOptions `key:"database_options"`
	HTTP            HTTP            `key:"http"`
	WebSocket       WebSocket       `key:"websocket"`

	// Modules holds the options of each module as written, by module name. A
	// module reads its own through [Config.DecodeModule].
	Modules map[string]map[string]any `key:"modules"`

	source  string
	origins map[string]origin
}

// Log says what is logged to standard error.
type Log struct {
	Level  string `key:"level" default:"info" oneof:"debug info warn error" live:"true" doc:"Least severe level that is logged."`
	Format string `key:"format" default:"text" oneof:"text json" doc:"Lines for people or objects for machines."`
}

// Listen holds addresses as net.Listen takes them: ":5222", "192.0.2.1:5222",
// "[::1]:5222". Port 0 takes a free port. An empty list turns a listener off.
type Listen struct {
	C2S    []string `key:"c2s" default:":5222" doc:"Clients over TCP with STARTTLS (RFC 6120)."`
	C2STLS []string `key:"c2s_tls" default:":5223" doc:"Clients over TCP with TLS from the first byte (XEP-0368)."`
	HTTP   []string `key:"http" default:":5280" doc:"Plain HTTP: WebSocket and host-meta; for a reverse proxy or the loopback."`
	HTTPS  []string `key:"https" default:":5443" doc:"The same over TLS."`
	Admin  []string `key:"admin" default:"127.0.0.1:5281" doc:"Plain HTTP for metrics, health and profiles; keep it private."`
}

// TLS says where certificates are. With neither file nor folder the server
// makes a self-signed one. See [Config.Certificates].
type TLS struct {
	CertFile string `key:"cert_file" live:"true" doc:"Certificate chain in PEM, used where cert_dir has nothing better."`
	KeyFile  string `key:"key_file" live:"true" doc:"Private key of cert_file in PEM."`
	CertDir  string `key:"cert_dir" live:"true" doc:"Folder with NAME.crt and NAME.key, or NAME/fullchain.pem and NAME/privkey.pem; the certificate is chosen by the name that the client asks for."`
	Required bool   `key:"required" default:"true" live:"true" doc:"No login before TLS, except on listen.http from the loopback or a trusted proxy."`
}

// Registration is about accounts that people make for themselves (XEP-0077).
type Registration struct {
	Enabled           bool `key:"enabled" default:"false" live:"true" doc:"Whether anybody may make an account in band (XEP-0077)."`
	PerAddressPerHour int  `key:"per_address_per_hour" default:"5" min:"0" max:"1000000" unit:"accounts" live:"true" doc:"New accounts per IP address and hour; 0 is no limit."`
}

// Auth is about logins. Failures are counted per pair of address and account and
// per address; never per account alone, so that nobody can lock an owner out.
type Auth struct {
	ScramIterations       int           `key:"scram_iterations" default:"10000" min:"4096" max:"10000000" unit:"iterations" live:"true" doc:"PBKDF2 rounds for passwords set from now on (RFC 7677 asks for 4096 or more)."`
	AttemptsPerConnection int           `key:"attempts_per_connection" default:"5" min:"1" max:"100" unit:"attempts" live:"true" doc:"Failed logins after which the connection is closed (RFC 6120 §6.4.5)."`
	FailuresBeforeDelay   int           `key:"failures_before_delay" default:"2" min:"0" max:"1000000" unit:"failures" doc:"Failures of one address at one account that cost no delay."`
	FailureDelay          time.Duration `key:"failure_delay" default:"1s" min:"0s" max:"1m" doc:"Delay of the next answer after that, doubled by each further failure; a quarter of it where only the address has failed too often."`
	FailureDelayMax       time.Duration `key:"failure_delay_max" default:"10s" min:"0s" max:"10m" doc:"Longest such delay; a sixth of it where only the address has failed too often."`
	FailuresPerAddress    int           `key:"failures_per_address" default:"20" min:"0" max:"1000000" unit:"failures" doc:"Failures of one address at all accounts together that cost no delay; many people may share an address."`
	FailureMemory         time.Duration `key:"failure_memory" default:"15m" min:"1s" max:"24h" doc:"How long after the last failure all are forgotten."`
	FailureTableEntries   int           `key:"failure_table_entries" default:"16384" min:"16" max:"10000000" unit:"entries" doc:"Pairs, and addresses, whose failures are remembered; the oldest make room."`
	TokenKeyFile          string        `key:"token_key_file" doc:"File with the key that the tokens of FAST (XEP-0484) are made with, 32 bytes or more, made if there is none; empty is token.key in data_dir. All nodes of a cluster need the same."`
	TokenLifetime         time.Duration `key:"token_lifetime" default:"720h" min:"1h" max:"8760h" live:"true" doc:"How long a token is good for."`
	TokenRotation         time.Duration `key:"token_rotation" default:"24h" min:"1m" max:"8760h" live:"true" doc:"Age from which on a token is replaced when it is used."`
	TokensPerAccount      int           `key:"tokens_per_account" default:"32" min:"1" max:"10000" unit:"clients" live:"true" doc:"Clients of one account that may hold tokens; beyond it the least recently used one loses its own."`
}

// Streams is about stream management (XEP-0198).
type Streams struct {
	ResumeTimeout time.Duration `key:"resume_timeout" default:"10m" min:"0s" max:"24h" live:"true" doc:"How long a session waits for a client that has lost its connection; a client may ask for less. 0s allows no resumption."`
	AckTimeout    time.Duration `key:"ack_timeout" default:"30s" min:"1s" max:"1h" live:"true" doc:"After how long without the acknowledgement that was asked for a client counts as unresponsive."`
	Location      string        `key:"location" doc:"Where clients should come back to resume, as host:port; empty leaves it to them."`
}

// Limits bound what one peer, one account and all of them together may cost.
type Limits struct {
	StanzaBytes            Size          `key:"stanza_bytes" default:"256KiB" min:"10000" max:"64MiB" unit:"bytes" live:"true" doc:"Largest stanza after login; clients are told (XEP-0478)."`
	StanzaBytesBeforeLogin Size          `key:"stanza_bytes_before_login" default:"16KiB" min:"10000" max:"1MiB" unit:"bytes" live:"true" doc:"Largest stream element before login (RFC 6120 §13.12 asks for 10000 or more)."`
	Depth                  int           `key:"depth" default:"64" min:"16" max:"1000" unit:"levels" live:"true" doc:"How deep the elements of a stanza may nest."`
	Attributes             int           `key:"attributes" default:"64" min:"16" max:"1000" unit:"attributes" live:"true" doc:"Attributes and namespace declarations of one element."`
	Elements               int           `key:"elements" default:"8192" min:"100" max:"1000000" unit:"elements" live:"true" doc:"Elements in one stanza."`
	SessionsPerAccount     int           `key:"sessions_per_account" default:"10" min:"1" max:"10000" unit:"sessions" live:"true" doc:"Sessions of one account; beyond it the least recently active one is closed."`
	OutboxBytes            Size          `key:"outbox_bytes" default:"2MiB" min:"64KiB" max:"1GiB" unit:"bytes" live:"true" doc:"Bytes waiting for one session that reads slowly or not at all."`
	OutboxBytesTotal       Size          `key:"outbox_bytes_total" default:"512MiB" min:"1MiB" max:"1024GiB" unit:"bytes" live:"true" doc:"Bytes waiting for all sessions together."`
	UnackedBytes           Size          `key:"unacked_bytes" default:"8MiB" min:"64KiB" max:"1GiB" unit:"bytes" live:"true" doc:"Bytes kept for one session with stream management until its client confirms them; beyond it the session ends and its messages go elsewhere."`
	HeldBytes              Size          `key:"held_bytes" default:"128KiB" min:"0" max:"64MiB" unit:"bytes" live:"true" doc:"Bytes of presence and the like held back for a client that has said it is inactive (XEP-0352)."`
	WriteStall             time.Duration `key:"write_stall" default:"30s" min:"1s" max:"1h" doc:"A connection that takes no byte of what is waiting for this long is closed."`
	LoginTimeout           time.Duration `key:"login_timeout" default:"30s" min:"1s" max:"10m" live:"true" doc:"Time from the first byte of a connection to a bound resource."`
	Connections            int           `key:"connections" default:"100000" min:"1" max:"10000000" unit:"connections" live:"true" doc:"Client connections in all."`
	ConnectionsPerAddress  int           `key:"connections_per_address" default:"0" min:"0" max:"10000000" unit:"connections" live:"true" doc:"Client connections of one IP address, except the loopback and trusted proxies; 0 is no limit."`
	ConnectionsBeforeLogin int           `key:"connections_before_login" default:"20000" min:"1" max:"10000000" unit:"connections" live:"true" doc:"Client connections that have not logged in yet."`
	LoginsWaiting          int           `key:"logins_waiting" default:"20000" min:"1" max:"10000000" unit:"connections" live:"true" doc:"Connections that may queue for a handshake or a login when many come at once; the others are told to come later."`
	Handshakes             int           `key:"handshakes" default:"0" min:"0" max:"10000" unit:"handshakes" doc:"TLS handshakes and steps of logins computed at a time; 0 is one per core. More help where the database is far away, fewer keep chats smoother while many log in."`
	RosterItems            int           `key:"roster_items" default:"5000" min:"1" max:"1000000" unit:"contacts" live:"true" doc:"Contacts in one roster."`
	SubscriptionRequests   int           `key:"subscription_requests" default:"200" min:"1" max:"100000" unit:"requests" live:"true" doc:"Unanswered subscription requests kept for one account."`
	DirectedPresences      int           `key:"directed_presences" default:"1000" min:"1" max:"100000" unit:"addresses" live:"true" doc:"Addresses outside the roster to which one session has sent its presence."`
	OfflineMessages        int           `key:"offline_messages" default:"1000" min:"0" max:"10000000" unit:"messages" live:"true" doc:"Messages kept for an account that is away; 0 keeps none."`
	OfflineBytes           Size          `key:"offline_bytes" default:"16MiB" min:"64KiB" max:"1024GiB" unit:"bytes" live:"true" doc:"Bytes of messages kept for an account that is away."`
}

// DatabaseOptions tune the database that the key database names.
type DatabaseOptions struct {
	CommitTimeout    time.Duration `key:"commit_timeout" default:"5s" min:"100ms" max:"10m" doc:"How long messages wait for their commit before the sender gets an error of type wait."`
	StatementTimeout time.Duration `key:"statement_timeout" default:"10s" min:"100ms" max:"1h" doc:"Longest run of one statement."`
	Durability       string        `key:"durability" default:"full" oneof:"full normal" doc:"full survives a power loss, normal only the end of the process."`
	MaxConnections   int           `key:"max_connections" default:"10" min:"2" max:"1000" unit:"connections" doc:"Pool of connections to the database; with sqlite, of readers, of which there are at most two per core."`
}

// HTTP is about what the HTTP listeners believe and announce.
type HTTP struct {
	TrustedProxies []string `key:"trusted_proxies" doc:"Addresses or networks (192.0.2.0/24) whose Forwarded and X-Forwarded-… headers are believed."`
	PublicURL      string   `key:"public_url" doc:"Where the world reaches listen.http or listen.https, such as https://example.org; empty if only directly."`
}

// WebSocket is about XMPP over WebSocket (RFC 7395).
type WebSocket struct {
	PublicURL string `key:"public_url" doc:"Announced in host-meta (XEP-0156), such as wss://example.org/ws, and told to who may not log in without TLS; empty derives it from http.public_url."`
}

// Source names the file that was read, or is empty if there was none.
func (c *Config) Source() string { return c.source }

// TokenKey is the file with the key of the tokens.
func (c *Config) TokenKey() string {
	if c.Auth.TokenKeyFile != "" {
		return c.Auth.TokenKeyFile
	}
	return filepath.Join(c.DataDir, "token.key")
}

// Socket is the path of the control socket that `xmppd ctl` talks to.
func (c *Config) Socket() string { return filepath.Join(c.DataDir, "xmppd.sock") }

// TrustedPrefixes is TrustedProxies as networks; a single address is a
// network of one.
func (h *HTTP) TrustedPrefixes() []netip.Prefix {
	prefixes := make([]netip.Prefix, 0, len(h.TrustedProxies))
	for _, s := range h.TrustedProxies {
		if p, ok := parsePrefix(s); ok {
			prefixes = append(prefixes, p)
		}
	}
	return prefixes
}

// WebSocketURL is where the world reaches the WebSocket: websocket.public_url,
// else derived from http.public_url; empty if the operator has named neither,
// because the server cannot know how it is reached from outside.
func (c *Config) WebSocketURL() string {
	if c.WebSocket.PublicURL != "" || c.HTTP.PublicURL == "" {
		return c.WebSocket.PublicURL
	}
	u, err := url.Parse(c.HTTP.PublicURL)
	if err != nil {
		return ""
	}
	u.Scheme = map[string]string{"https": "wss", "http": "ws"}[u.Scheme]
	return strings.TrimSuffix(u.String(), "/") + "/ws"
}
