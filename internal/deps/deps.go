//go:build deps

package deps

import (
	_ "github.com/go-viper/mapstructure/v2"
	_ "github.com/gobwas/ws"
	_ "github.com/google/go-cmp/cmp"
	_ "github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/pressly/goose/v3"
	_ "github.com/prometheus/client_golang/prometheus/collectors"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/spf13/cobra"
	_ "github.com/spf13/cobra/doc"
	_ "github.com/spf13/viper"
	_ "go.yaml.in/yaml/v3"
	_ "golang.org/x/crypto/pbkdf2"
	_ "golang.org/x/net/idna"
	_ "golang.org/x/sync/errgroup"
	_ "golang.org/x/sys/unix"
	_ "golang.org/x/text/secure/precis"
	_ "mellium.im/sasl"
	_ "mellium.im/xmpp"
	_ "mellium.im/xmpp/disco"
	_ "mellium.im/xmpp/jid"
	_ "mellium.im/xmpp/ping"
	_ "mellium.im/xmpp/roster"
	_ "modernc.org/sqlite"
)
