package search

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/xmppd/xmppd/internal/pgtest"
	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
	"github.com/xmppd/xmppd/storage/postgres"
	"github.com/xmppd/xmppd/storage/sqlite"
)

// archives is what the figures are about; both stores have it.
type archives interface {
	Store
	storage.Group
	CreateAccount(ctx context.Context, account jid.JID, credentials []storage.Credential) error
	Archive(ctx context.Context, q storage.ArchiveQuery, fn func(*storage.Message) error) error
	RemoveArchive(ctx context.Context, owner, with jid.JID, limit int) (deleted int, err error)
	Close() error
}

var (
	hoarder  = jid.MustParse("hoarder@example.org") // has all messages
	contacts = 1000                                 // share them
)

func contact(n int) jid.JID { return jid.MustParse(fmt.Sprintf("contact%d@example.org", n%contacts)) }

// TestFiguresOfManyMessages fills a store and shows what the index and searching it
// cost. It takes minutes: it is skipped unless XMPPD_FIGURES is the number of
// messages.
func TestFiguresOfManyMessages(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv("XMPPD_FIGURES"))
	if n == 0 {
		t.Skip("takes minutes: XMPPD_FIGURES=1000000 runs it")
	}
	t.Run("sqlite", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "figures.db")
		db, err := sqlite.Open(t.Context(), sqlite.Options{Path: path, CommitTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		raw, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		size := func() (total int64) {
			if err := raw.QueryRow(`SELECT coalesce((SELECT sum(length(block)) FROM word_data), 0)
				+ coalesce((SELECT sum(length(sz) + 8) FROM word_docsize), 0)`).Scan(&total); err != nil {
				t.Fatal(err)
			}
			return total
		}
		figures(t, db, n, place{size: size, server: func() time.Duration { return 0 }})
	})
	t.Run("postgres", func(t *testing.T) {
		url := pgtest.Start(t, pgtest.Options{Durable: true}).URL(t)
		db, err := postgres.Open(t.Context(), postgres.Options{URL: url, CommitTimeout: time.Minute, StatementTimeout: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		figures(t, db, n, pgPlace(t, url))
	})
}

// place is where a store keeps its data.
type place struct {
	size   func() int64         // bytes
	server func() time.Duration // CPU that it has used, besides this process
}

func figures(t *testing.T, db archives, n int, p place) {
	start, used, served := time.Now(), cpu(), p.server()
	fill(t, db, n)
	t.Logf("%d messages in %v: %.1f µs CPU each, and %.1f of the server", n, time.Since(start).Round(time.Second), micros(cpu()-used, n), micros(p.server()-served, n))
	before := p.size()
	m := New(db)
	start, used, served = time.Now(), cpu(), p.server()
	var batches []time.Duration
	for done := false; !done; {
		began := time.Now()
		more, err := m.batch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		batches, done = append(batches, time.Since(began)), !more
	}
	slices.Sort(batches)
	t.Logf("index: %v, %.1f µs CPU each, and %.1f of the server; batches of %d: median %.1f ms, 99 %% in %.1f ms, worst %.1f ms", time.Since(start).Round(time.Second),
		micros(cpu()-used, n), micros(p.server()-served, n),
		batch, millis(batches[len(batches)/2]), millis(batches[len(batches)*99/100]), millis(batches[len(batches)-1]))
	measure(t, db, m, "at once, rare", "serendipity", storage.ArchiveQuery{Owner: hoarder, Backward: true, Limit: 51})
	measure(t, db, m, "at once, frequent", "the", storage.ArchiveQuery{Owner: hoarder, Backward: true, Limit: 51})
	t.Logf("index: %.0f bytes each", float64(p.size()-before)/float64(n))
	for _, c := range []struct {
		name, text string
		q          storage.ArchiveQuery
	}{
		{"frequent English", "the", storage.ArchiveQuery{}},
		{"frequent Korean", "오늘", storage.ArchiveQuery{}},
		{"frequent Chinese", "我们", storage.ArchiveQuery{}},
		{"frequent Japanese", "です", storage.ArchiveQuery{}},
		{"two frequent words", "the and", storage.ArchiveQuery{}},
		{"one character", "我", storage.ArchiveQuery{}},
		{"rare English", "serendipity", storage.ArchiveQuery{}},
		{"rare Korean", "무지개", storage.ArchiveQuery{}},
		{"rare Chinese", "琥珀", storage.ArchiveQuery{}},
		{"rare and frequent", "the serendipity", storage.ArchiveQuery{}},
		{"unknown", "xyzzy", storage.ArchiveQuery{}},
		{"only in the oldest tenth", "antique", storage.ArchiveQuery{}},
		{"frequent, never together", "오늘 the", storage.ArchiveQuery{}},
		{"frequent, with one", "the", storage.ArchiveQuery{With: contact(7)}},
		{"rare, with one", "serendipity", storage.ArchiveQuery{With: contact(7)}},
		{"frequent, from the middle", "the", storage.ArchiveQuery{Before: int64(n / 2)}},
		{"frequent, long ago", "the", storage.ArchiveQuery{End: epoch.Add(time.Duration(n/3) * time.Second)}},
	} {
		for _, owner := range []jid.JID{hoarder, contact(7)} {
			for _, backward := range []bool{true, false} {
				q := c.q
				q.Owner, q.Backward, q.Limit = owner, backward, 51
				if owner != hoarder {
					if !q.With.IsZero() {
						continue
					}
					q.Before /= int64(contacts)
				}
				measure(t, db, m, c.name, c.text, q)
			}
		}
	}
	remove(t, db, hoarder, contact(7))
	remove(t, db, contact(7), jid.JID{})
	erase(t, db, "one of the contacts has left")
	remove(t, db, hoarder, jid.JID{})
	for i := range contacts / 2 {
		remove(t, db, contact(i), jid.JID{})
	}
	erase(t, db, "half of them have left")
	for i := range contacts {
		remove(t, db, contact(i), jid.JID{})
	}
	erase(t, db, "all have left")
}

func remove(t *testing.T, db archives, owner, with jid.JID) {
	t.Helper()
	const step = 500
	for n := step; n == step; {
		var err error
		if n, err = db.RemoveArchive(t.Context(), owner, with, step); err != nil {
			t.Fatal(err)
		}
	}
}

// erase shows what it costs that words of deleted messages leave the index.
func erase(t *testing.T, db archives, name string) {
	t.Helper()
	var steps []time.Duration
	used := cpu()
	for more := true; more; {
		var err error
		began := time.Now()
		if more, err = db.EraseTexts(t.Context(), began.Add(48*time.Hour)); err != nil {
			t.Fatal(err)
		}
		steps = append(steps, time.Since(began))
	}
	slices.Sort(steps)
	t.Logf("erase, %s: %.0f ms CPU; %d steps: median %.1f ms, 99 %% in %.1f ms, worst %.1f ms", name, millis(cpu()-used), len(steps),
		millis(steps[len(steps)/2]), millis(steps[len(steps)*99/100]), millis(steps[len(steps)-1]))
}

// measure repeats a query; the first one may have to read the disk.
func measure(t *testing.T, db archives, m *Module, name, text string, q storage.ArchiveQuery) {
	var times []time.Duration
	rows := 0
	used := cpu()
	const repeat = 15
	for range repeat {
		start := time.Now()
		rows = 0
		q.Words, q.Match = m.Query(text)
		if err := db.Archive(t.Context(), q, func(*storage.Message) error { rows++; return nil }); err != nil {
			t.Fatal(err)
		}
		times = append(times, time.Since(start))
	}
	first := times[0]
	slices.Sort(times)
	t.Logf("%-26s %-9s backward %-5v: %2d rows, first %7.2f ms, median %7.2f ms, worst %7.2f ms, CPU here %.2f ms", name, q.Owner.Local(), q.Backward, rows,
		millis(first), millis(times[repeat/2]), millis(times[repeat-1]), millis((cpu()-used)/repeat))
}

func millis(d time.Duration) float64        { return float64(d) / 1e6 }
func micros(d time.Duration, n int) float64 { return float64(d) / 1e3 / float64(n) }

// cpu is what this process has used.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

var epoch = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// fill adds messages between the hoarder and the contacts in turn.
func fill(t *testing.T, db archives, n int) {
	for _, j := range append([]jid.JID{hoarder}, func() (list []jid.JID) {
		for i := range contacts {
			list = append(list, contact(i))
		}
		return list
	}()...) {
		if err := db.CreateAccount(t.Context(), j, nil); err != nil {
			t.Fatal(err)
		}
	}
	r := rand.New(rand.NewPCG(1, 2))
	vocabularies := makeVocabularies(r)
	var run storage.Run
	for i := 0; i < n; {
		run.Reset()
		for ; i < n && len(run.Writes) < 400; i++ {
			body := vocabularies[r.IntN(len(vocabularies))].sentence(r)
			if i%(n/20+1) == 7 {
				body += " serendipity 무지개를 琥珀色"
			}
			if i < n/10 && r.IntN(3) == 0 {
				body += " antique"
			}
			from, to := hoarder, contact(i)
			if r.IntN(2) == 0 {
				from, to = to, from
			}
			id := fmt.Sprintf("%08x-4f7c-4b1e-9d3a-%012x", i, r.Uint32())
			xml := fmt.Appendf(nil, "<message xml:lang='en' from='%s/phone' to='%s' type='chat' id='%s'><body>%s</body><origin-id xmlns='urn:xmpp:sid:0' id='%s'/>"+
				"<active xmlns='http://jabber.org/protocol/chatstates'/><markable xmlns='urn:xmpp:chat-markers:0'/><request xmlns='urn:xmpp:receipts'/></message>", from, to, id, body, id)
			text, at := new(storage.Text), epoch.Add(time.Duration(i)*time.Second)
			run.Writes = append(run.Writes,
				&storage.Message{Owner: from, Peer: to, Chat: to, Flags: storage.Archived | storage.FromOwner | storage.Shown, ID: id, Text: text, Arrived: at, XML: xml},
				&storage.Message{Owner: to, Peer: from, Chat: from, Flags: storage.Archived | storage.Shown, ID: id, Text: text, Arrived: at, XML: xml})
		}
		db.Join(&run)
		run.Wait()
		for _, err := range run.Errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// pgPlace measures a database of a server on this machine.
func pgPlace(t *testing.T, url string) place {
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	ask := func(query string, args ...any) (n int64) {
		if err := conn.QueryRow(t.Context(), query, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	parent := processes()[ask("SELECT pg_backend_pid()")].parent
	return place{
		size: func() int64 {
			if _, err := conn.Exec(t.Context(), "VACUUM ANALYZE"); err != nil {
				t.Fatal(err)
			}
			for _, table := range []string{"message", "text", "word", "word_pkey", "word_words"} {
				t.Logf("%s: %d MB", table, ask("SELECT pg_relation_size($1::text::regclass)", table)>>20)
			}
			return ask("SELECT pg_database_size(current_database())")
		},
		server: func() (total time.Duration) {
			all := processes()
			for pid, p := range all {
				if p.parent == parent {
					total += p.used
				} else if pid == parent {
					total += p.used + p.waitedFor
				}
			}
			return total
		},
	}
}

type process struct {
	parent          int64
	used, waitedFor time.Duration
}

// processes reads those of this machine.
func processes() map[int64]process {
	const tick = time.Second / 100
	all := map[int64]process{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		stat, _ := os.ReadFile(f)
		_, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		if len(fields) < 15 {
			continue // it has ended
		}
		number := func(i int) int64 {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			return n
		}
		pid, _ := strconv.ParseInt(filepath.Base(filepath.Dir(f)), 10, 64)
		all[pid] = process{number(1), tick * time.Duration(number(11)+number(12)), tick * time.Duration(number(13)+number(14))}
	}
	return all
}

// vocabulary makes sentences whose words are as unequally frequent as in life.
type vocabulary struct {
	words []string
	space string
	zipf  *rand.Zipf
	mean  int // words of a sentence
}

func (v *vocabulary) sentence(r *rand.Rand) string {
	list := make([]string, 1+r.IntN(2*v.mean))
	for i := range list {
		list[i] = v.words[v.zipf.Uint64()]
	}
	return strings.Join(list, v.space)
}

func makeVocabularies(r *rand.Rand) []*vocabulary {
	english := strings.Fields("the I you to a and it is that of in my me what not have for we on do this no be so with will but just are was good can at if okay your about they like up know see now out all one time how go get when think him come did tomorrow tonight home work dinner meeting train call thanks yes sure sorry later maybe great morning evening week weekend")
	korean := strings.Fields("오늘 내일 나는 너는 그냥 진짜 이제 그래 그럼 아니 지금 우리 근데 좀 많이 어디 언제 뭐해 밥 먹었어 먹자 갈게 올래 학교 회사 집에 집에서 친구 친구랑 엄마 아빠 사랑해 고마워 미안해 괜찮아 좋아 좋아요 싫어 주말에 저녁에 아침에 점심 회의 보내줘 봤어 알겠어 모르겠어 생각해 한국 서울 부산 지하철 버스 도착했어 출발 늦을 같아 시간 전화 연락해 사진 영화 보고 싶어 커피")
	chinese := strings.Fields("我们 你 我 的 了 是 在 不 好 吗 有 去 吃饭 今天 明天 现在 什么 怎么 可以 没有 知道 觉得 回家 公司 学校 朋友 北京 上海 时间 电话 谢谢 对不起 没关系 喜欢 想 要 来 晚上 早上 周末 开会 照片 电影 咖啡 地铁 到了 等我 一下 马上 已经 还是 因为 所以 但是 真的 非常 工作 孩子 妈妈 爸爸")
	japanese := strings.Fields("です ます は が を に で と も の ね よ か 今日 明日 今 私 あなた 行く 行きます 来る 食べる 食べた 見た 見る した する ある いる ない 好き 大丈夫 ありがとう ごめん お疲れ様 仕事 会社 学校 友達 電車 駅 東京 大阪 時間 電話 写真 映画 コーヒー ラーメン 週末 夜 朝 昼 会議 帰る 着いた 遅れる 少し とても 本当に 楽しい")
	tail := func(list []string, n, least, most int, syllable func() string) []string {
		for range n {
			w := ""
			for range least + r.IntN(most-least+1) {
				w += syllable()
			}
			list = append(list, w)
		}
		return list
	}
	character := func(first rune, n int) func() string {
		z := rand.NewZipf(r, 1.2, 20, uint64(n-1))
		return func() string { return string(first + rune(z.Uint64()*7919%uint64(n))) }
	}
	syllables := strings.Fields("ba re to li ma ne so ti ka ra in er on al est ing pro com ver de un tra st ch")
	english = tail(english, 60_000, 2, 4, func() string { return syllables[r.IntN(len(syllables))] })
	korean = tail(korean, 60_000, 2, 4, character('가', 11172))
	chinese = tail(chinese, 40_000, 2, 3, character('一', 6000))
	japanese = tail(japanese, 40_000, 1, 3, character('一', 3000))
	var all []*vocabulary
	for _, v := range []vocabulary{{words: english, space: " ", mean: 9}, {words: korean, space: " ", mean: 6}, {words: chinese, mean: 7}, {words: japanese, mean: 8}} {
		v.zipf = rand.NewZipf(r, 1.15, 6, uint64(len(v.words)-1))
		all = append(all, &v)
	}
	return all
}
