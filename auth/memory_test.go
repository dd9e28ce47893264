package auth

import (
	"bytes"
	"context"
	"slices"
	"strings"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// in changes an account that is in an epoch; -1 is any.
func (m *memory) in(user jid.JID, epoch int64, fn func(*storage.Account) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	a, ok := m.accounts[user]
	if !ok || epoch >= 0 && a.Epoch != epoch {
		return storage.ErrNotFound
	}
	err := fn(&a)
	m.accounts[user] = a
	return err
}

func (m *memory) AddCredentials(_ context.Context, user jid.JID, epoch int64, c []storage.Credential) error {
	return m.in(user, epoch, func(a *storage.Account) error {
		for _, one := range c {
			if find(*a, one.Hash) == nil {
				a.Credentials = append(slices.Clone(a.Credentials), one)
			}
		}
		return nil
	})
}

func (m *memory) Access(_ context.Context, user jid.JID, agent string) (access storage.Access, err error) {
	err = m.in(user, -1, func(a *storage.Account) error {
		access.Epoch, access.Ban = a.Epoch, a.Ban
		for _, t := range m.tokens[user] {
			if t.Agent == agent {
				access.Tokens = append(access.Tokens, t)
			}
		}
		return nil
	})
	return access, err
}

func (m *memory) AddToken(_ context.Context, user jid.JID, epoch int64, t storage.Token, limit int) error {
	return m.in(user, epoch, func(*storage.Account) error {
		m.writes++
		m.drop(user, func(o storage.Token) bool { return o.Agent == t.Agent && o.New || o.Expires.Before(t.Created) })
		m.tokens[user] = slices.Insert(m.tokens[user], 0, t)
		used := map[string]int64{}
		for _, o := range m.tokens[user] {
			used[o.Agent] = max(used[o.Agent], o.Used.UnixNano())
		}
		delete(used, t.Agent)
		others := sortedKeys(used)
		slices.SortStableFunc(others, func(a, b string) int { return int(used[b] - used[a]) })
		for _, agent := range others[min(len(others), limit-1):] {
			m.drop(user, func(o storage.Token) bool { return o.Agent == agent })
		}
		return nil
	})
}

func (m *memory) drop(user jid.JID, which func(storage.Token) bool) {
	m.tokens[user] = slices.DeleteFunc(m.tokens[user], which)
}

func (m *memory) UseToken(_ context.Context, user jid.JID, agent string, use storage.TokenUse) error {
	return m.in(user, -1, func(*storage.Account) error {
		m.writes++
		same := func(o storage.Token) bool { return o.Agent == agent && bytes.Equal(o.Nonce, use.Nonce) }
		i := slices.IndexFunc(m.tokens[user], same)
		if i < 0 {
			return storage.ErrNotFound
		}
		t := m.tokens[user][i]
		if use.Count >= 0 && use.Count <= t.Count {
			return storage.ErrNotFound
		}
		m.drop(user, func(o storage.Token) bool {
			return o.Agent == agent && (use.Remove || same(o) || t.New || o.Expires.Before(t.Expires))
		})
		if !use.Remove {
			t.New, t.Used, t.Count = false, use.At, max(t.Count, use.Count)
			m.tokens[user] = append(m.tokens[user], t)
		}
		return nil
	})
}

func (m *memory) Tokens(_ context.Context, user jid.JID) (list []storage.Token, err error) {
	err = m.in(user, -1, func(*storage.Account) error {
		list = slices.Clone(m.tokens[user])
		return nil
	})
	slices.SortStableFunc(list, func(a, b storage.Token) int { return strings.Compare(a.Agent, b.Agent) })
	return list, err
}

func (m *memory) RevokeTokens(_ context.Context, user jid.JID, agent string) (n int, err error) {
	err = m.in(user, -1, func(a *storage.Account) error {
		a.Epoch++
		before := len(m.tokens[user])
		m.drop(user, func(o storage.Token) bool { return agent == "" || o.Agent == agent })
		n = before - len(m.tokens[user])
		return nil
	})
	return n, err
}
