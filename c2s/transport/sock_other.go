//go:build !linux

package transport

import (
	"net"
	"syscall"
)

// rawConn makes every connection one without descriptor.
func rawConn(net.Conn) syscall.RawConn { return nil }

func (s *sock) prepare() {}

func (s *sock) try(*attempt, []byte) (int, error) { return 0, ErrAgain }

func (s *sock) writeSome(p []byte) (int, error) { return s.c.Write(p) }
