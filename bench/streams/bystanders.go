package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// bystanders are the people who chat during a storm. They run in a process of
// their own: thousands of handshakes in this one would hold their goroutines up,
// and that is not the server's doing. All methods may be called on nil.
type bystanders struct {
	cmd   *exec.Cmd
	lines io.WriteCloser
	out   *bufio.Reader
}

// bystanders starts pairs of users behind the first n, and waits until they are
// logged in. They stop by themselves after the limit.
func (o *options) bystanders(ctx context.Context, n, pairs int, rate float64, limit time.Duration) (*bystanders, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	k := o.kindName
	cmd := exec.CommandContext(ctx, self, "chat", "-follow", "-json",
		"-addr", o.addr, "-host", o.host, "-tls", o.security, "-curve", o.curve,
		"-user-prefix", o.prefix, "-pass", o.password, "-resource", o.resource,
		"-kind", k, "-mech", o.mechanism, "-token-mech", o.tokenMechanism,
		"-first", strconv.Itoa(o.first+n), "-sources", strconv.Itoa(o.sources),
		"-pairs", strconv.Itoa(pairs), "-rate", strconv.FormatFloat(rate, 'f', -1, 64), "-dur", limit.String())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b := &bystanders{cmd: cmd, lines: in, out: bufio.NewReader(out)}
	if line, err := b.out.ReadString('\n'); err != nil || line != "ready\n" {
		return nil, errors.Join(errors.New("those who chat did not get in"), b.cmd.Wait())
	}
	return b, nil
}

// enter begins the next phase.
func (b *bystanders) enter(name string) {
	if b != nil {
		fmt.Fprintln(b.lines, name)
	}
}

// result ends the chat and returns how it went.
func (b *bystanders) result() ([]phaseReport, error) {
	if b == nil {
		return nil, nil
	}
	b.lines.Close()
	text, err := io.ReadAll(b.out)
	if err := errors.Join(err, b.cmd.Wait()); err != nil {
		return nil, err
	}
	var r struct {
		Phases []phaseReport
		Lost   string `json:"chatters_lost"`
	}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&r); err != nil {
		return nil, err
	}
	if r.Lost != "none" {
		err = fmt.Errorf("chatters lost their connections: %s", r.Lost)
	}
	return r.Phases, err
}

// kill ends the process if it still runs.
func (b *bystanders) kill() {
	if b != nil && b.cmd.ProcessState == nil {
		_ = b.cmd.Process.Kill()
		_ = b.cmd.Wait()
	}
}
