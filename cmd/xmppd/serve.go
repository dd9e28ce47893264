package main

import (
	"context"
	"errors"
	"io"

	"github.com/xmppd/xmppd/config"
)

// serve runs the server until ctx is done.
func serve(ctx context.Context, cfg *config.Config, out io.Writer) error {
	return errors.New("not wired yet")
}
