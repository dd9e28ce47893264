package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

const (
	tokenKeyLen    = 32   // at least
	maxTokenKeyLen = 4096 // a longer file is something else
)

// LoadTokenKey reads the key that the secrets of tokens are derived with. If
// there is no such file it is made, readable by its owner only, with a random
// key, and its folder too; of several processes that do so all get the same. A
// file is refused that is shorter than 32 bytes, longer than 4 KiB or open to
// others: who can read it can make tokens from a copy of the database.
//
// Without the file nobody's token is good any more and clients need their
// passwords again; that is all that is lost with it.
func LoadTokenKey(path string) ([]byte, error) {
	key, err := readTokenKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeTokenKey(path); err == nil {
			key, err = readTokenKey(path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	return key, nil
}

func readTokenKey(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%s is open to others (mode %04o): chmod 600 it", path, mode)
	}
	key, err := io.ReadAll(io.LimitReader(f, maxTokenKeyLen+1))
	switch {
	case err != nil:
		return nil, err
	case len(key) < tokenKeyLen:
		return nil, fmt.Errorf("%s has %d bytes, want at least %d", path, len(key), tokenKeyLen)
	case len(key) > maxTokenKeyLen:
		return nil, fmt.Errorf("%s is longer than %d bytes", path, maxTokenKeyLen)
	}
	return key, nil
}

// makeTokenKey makes the file under another name first, so that nobody ever
// reads a part of it, and gives it its name only if that is still free.
func makeTokenKey(path string) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".token-key-") // with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	key := make([]byte, 2*tokenKeyLen)
	rand.Read(key) // never fails
	_, err = f.Write(key)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the name durable: tokens made with a key that a power loss takes
// away again would be refused.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // it cannot be done there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
