package node

import (
	"context"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func (v accountsView) Tokens(ctx context.Context, account jid.JID) ([]storage.Token, error) {
	return v.n.auth.Tokens(ctx, account)
}

func (v accountsView) RevokeTokens(ctx context.Context, account jid.JID, agent string) (int, error) {
	return v.n.auth.RevokeTokens(ctx, account, agent)
}
