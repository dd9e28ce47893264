package sqlite_test

import (
	"fmt"
	"testing"

	"github.com/xmppd/xmppd/storage/storagetest"
)

func TestCrowd(t *testing.T) {
	t.Parallel()
	storagetest.Crowd(t, newDatabase(t), func(rows int) string {
		return fmt.Sprintf(`WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d),
				last AS MATERIALIZED (SELECT * FROM message ORDER BY id DESC LIMIT 1)
			INSERT INTO message (id, tag, flags, chat, peer, arrived, xml)
				SELECT id + i, 1, 1, chat, 'juliet@example.org/other', arrived, x'78' FROM last, n;
			UPDATE owner SET next_seq = next_seq + %d`, rows, rows)
	})
}
