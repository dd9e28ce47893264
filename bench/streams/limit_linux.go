package main

import "syscall"

// raiseFiles asks for a million descriptors; without the right to that the
// limit stays at the hard one, to which Go has raised it.
func raiseFiles() {
	want := syscall.Rlimit{Cur: 1_000_000, Max: 1_000_000}
	var have syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &have) == nil && have.Cur < want.Cur {
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want)
	}
}

// latePort lets the kernel choose the port when the peer is known, so that each
// source address has all ports for each destination.
func latePort(_, _ string, c syscall.RawConn) error {
	const bindAddressNoPort = 24 // IP_BIND_ADDRESS_NO_PORT
	var failed error
	err := c.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IP, bindAddressNoPort, 1)
	})
	if err != nil {
		return err
	}
	return failed
}
