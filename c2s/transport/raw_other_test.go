//go:build !linux

package transport

const rawSupported = false
