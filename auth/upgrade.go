package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/xmppd/xmppd/storage"
)

// upgrade is a task that waits for the client's part of it.
type upgrade struct {
	task       string
	algorithm  *algorithm
	salt       []byte
	iterations int
}

// Upgrades lists the tasks of XEP-0480 that are announced, strongest first: the
// same on all connections, for what an account lacks is nobody's business before
// its password has been proven.
func (b *Backend) Upgrades() []string {
	return []string{upgradeTask(&algorithms[0]), upgradeTask(&algorithms[1])}
}

func upgradeTask(a *algorithm) string { return "UPGR-" + a.mechanism(false) }

// lacking lists what an account, imported perhaps, has no credential for.
func lacking(account storage.Account) (list []algorithm) {
	for i := range algorithms {
		if find(account, algorithms[i].name) == nil {
			list = append(list, algorithms[i])
		}
	}
	return list
}

// NextUpgrade picks the next of the requested tasks that the account needs, with
// the salt and the PBKDF2 iterations that the client has to use; "" if there is
// none. It is to be asked again behind each SetUpgrade. The error is a *Failure,
// for an exchange that has not ended well.
//
// Behind a login with a token there is never one: whoever steals a token must not
// be able to make a password of it.
func (x *Exchange) NextUpgrade(requested []string) (task string, salt []byte, iterations int, err error) {
	if !x.done {
		return "", nil, 0, malformed("not logged in")
	}
	x.upgrade = nil
	announced := x.backend.Upgrades()
	for i := range x.lacks {
		u := &upgrade{upgradeTask(&x.lacks[i]), &x.lacks[i], newSalt(), x.backend.iterationCount()}
		if slices.Contains(announced, u.task) && slices.Contains(requested, u.task) {
			x.upgrade = u
			return u.task, u.salt, u.iterations, nil
		}
	}
	return "", nil, 0, nil
}

// SetUpgrade stores what the client has computed for the task that NextUpgrade
// has given it last, the SaltedPassword of RFC 5802 §3. No other credential
// changes, and tokens stay valid. The error is a *Failure.
func (x *Exchange) SetUpgrade(ctx context.Context, task string, saltedPassword []byte) error {
	u := x.upgrade
	x.upgrade = nil
	if u == nil || u.task != task {
		return malformed("no such task")
	}
	if len(saltedPassword) != u.algorithm.size {
		return malformed("hash of another length")
	}
	c := u.algorithm.fromSalted(saltedPassword, u.salt, u.iterations)
	switch err := x.backend.store.AddCredentials(ctx, x.claimed, x.epoch, []storage.Credential{c}); {
	case errors.Is(err, storage.ErrNotFound):
		return &Failure{Condition: NotAuthorized, cause: errors.New("password changed meanwhile")}
	case err != nil:
		return unavailable(fmt.Errorf("add credential: %w", err))
	}
	x.lacks = slices.DeleteFunc(slices.Clone(x.lacks), func(a algorithm) bool { return a.name == u.algorithm.name })
	return nil
}

// complete adds what the account lacks, from a password that has been proven.
// Whether that succeeds says nothing about the login; the next one tries again.
func (x *Exchange) complete(password string) {
	if len(x.lacks) == 0 {
		return
	}
	prepared, err := prepare(password)
	if err != nil {
		return
	}
	creds, err := x.backend.derive(x.ctx, prepared, x.lacks)
	if err != nil {
		return
	}
	if x.backend.store.AddCredentials(x.ctx, x.claimed, x.epoch, creds) == nil {
		x.lacks = nil
	}
}
