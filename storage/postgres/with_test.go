package postgres_test

import (
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/storage/storagetest"
)

func TestCrowd(t *testing.T) {
	t.Parallel()
	storagetest.Crowd(t, newDatabase(t), func(rows int) string {
		return fmt.Sprintf(`WITH added AS (INSERT INTO message (owner, seq, tag, arrived, chat, flags, peer, xml)
				SELECT owner, seq + i, 1, arrived, chat, 1, 'juliet@example.org/other', 'x'
				FROM (SELECT * FROM message ORDER BY seq DESC LIMIT 1) m, generate_series(1, %d) i)
			UPDATE owner SET next_seq = next_seq + %d`, rows, rows)
	})
}
