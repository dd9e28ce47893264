package config

import (
	"crypto/tls"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Check looks at what the options name on this machine: certificates, keys and
// folders. It reads and changes nothing else; addresses in use are found when
// listening.
func (c *Config) Check() []Problem {
	_, problems := c.Certificates()
	if _, err := os.Stat(c.DataDir); err == nil && !isDir(c.DataDir) {
		problems = append(problems, c.problem("data_dir", &badValue{c.DataDir, "is not a folder"}, nil))
	}
	return Problems(problems).sorted()
}

// Certificates loads the pair of tls.cert_file and tls.key_file, then every
// pair in tls.cert_dir, in the order in which crypto/tls looks for the name
// that a client asked for; the first serves clients that match none. Without
// problems and without certificates the server makes its own.
func (c *Config) Certificates() ([]tls.Certificate, []Problem) {
	var list []tls.Certificate
	var problems []Problem
	report := func(key, file, reason string) {
		problems = append(problems, c.problem(key, &badValue{file, reason}, nil))
	}
	if t := c.TLS; t.CertFile != "" && t.KeyFile != "" {
		cert, culprit, err := loadPair(t.CertFile, t.KeyFile)
		switch {
		case err == nil:
			list = append(list, cert)
		case culprit == t.KeyFile:
			report("tls.key_file", culprit, err.Error())
		default:
			report("tls.cert_file", culprit, err.Error())
			if _, err := os.ReadFile(t.KeyFile); err != nil {
				report("tls.key_file", t.KeyFile, unreadable(err).Error())
			}
		}
	}
	if dir := c.TLS.CertDir; dir != "" {
		pairs, err := pairsIn(dir)
		if err != nil {
			report("tls.cert_dir", dir, err.Error())
		} else if len(pairs) == 0 {
			report("tls.cert_dir", dir, "holds no certificate: neither NAME.crt nor NAME/fullchain.pem")
		}
		for _, p := range pairs {
			if cert, culprit, err := loadPair(p[0], p[1]); err != nil {
				report("tls.cert_dir", culprit, err.Error())
			} else {
				list = append(list, cert)
			}
		}
	}
	return list, problems
}

// pairsIn finds the files of certificates and keys in a folder.
func pairsIn(dir string) (pairs [][2]string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, unreadable(err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if name, ok := strings.CutSuffix(path, ".crt"); ok {
			pairs = append(pairs, [2]string{path, name + ".key"})
		} else if isDir(path) { // as certbot lays them out
			chain := filepath.Join(path, "fullchain.pem")
			if _, err := os.Stat(chain); !errors.Is(err, fs.ErrNotExist) {
				pairs = append(pairs, [2]string{chain, filepath.Join(path, "privkey.pem")})
			}
		}
	}
	return pairs, nil
}

// loadPair is tls.LoadX509KeyPair that names the file at fault.
func loadPair(certFile, keyFile string) (cert tls.Certificate, culprit string, err error) {
	chain, err := os.ReadFile(certFile)
	if err != nil {
		return cert, certFile, unreadable(err)
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return cert, keyFile, unreadable(err)
	}
	if cert, err = tls.X509KeyPair(chain, key); err == nil {
		return cert, "", nil
	}
	// crypto/tls has no typed errors here: its words tell which file is meant.
	switch text := err.Error(); {
	case strings.Contains(text, "does not match"):
		return cert, keyFile, errors.New("is not the key of " + certFile)
	case strings.Contains(text, "certificate input"):
		return cert, certFile, errors.New("holds no certificate in PEM")
	case strings.Contains(text, "private key") || strings.Contains(text, "key input"):
		return cert, keyFile, errors.New("holds no usable private key in PEM")
	default:
		return cert, certFile, errors.New("holds no certificate that can be read")
	}
}

func unreadable(err error) error { return errors.New("cannot be read: " + plain(err)) }

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
