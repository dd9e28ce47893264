// Package storagetest is the suite that every store must pass.
package storagetest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

// Store lists what both stores offer.
type Store interface {
	storage.Group
	storage.Health
	Close() error

	CreateAccount(ctx context.Context, account jid.JID, credentials []storage.Credential) error
	Account(ctx context.Context, account jid.JID) (storage.Account, error)
	AccountExists(ctx context.Context, account jid.JID) (bool, error)
	SetCredentials(ctx context.Context, account jid.JID, credentials []storage.Credential) error
	RemoveAccount(ctx context.Context, account jid.JID) error
	Accounts(ctx context.Context, domain string, after jid.JID, limit int) ([]jid.JID, error)
	CountAccounts(ctx context.Context, domain string) (int, error)
	SetBan(ctx context.Context, account jid.JID, ban *storage.Ban) error
	AddCredentials(ctx context.Context, account jid.JID, epoch int64, credentials []storage.Credential) error

	Access(ctx context.Context, account jid.JID, agent string) (storage.Access, error)
	Tokens(ctx context.Context, account jid.JID) ([]storage.Token, error)
	AddToken(ctx context.Context, account jid.JID, epoch int64, token storage.Token, limit int) error
	UseToken(ctx context.Context, account jid.JID, agent string, use storage.TokenUse) error
	RevokeTokens(ctx context.Context, account jid.JID, agent string) (int, error)

	Roster(ctx context.Context, owner jid.JID) (items []storage.RosterItem, version uint64, err error)
	RosterItem(ctx context.Context, owner, contact jid.JID) (storage.RosterItem, error)
	RosterSince(ctx context.Context, owner jid.JID, since uint64) (changed []storage.RosterItem, removed []storage.RosterRemoval, version uint64, known bool, err error)
	UpdateRoster(ctx context.Context, owner, contact jid.JID, maxItems int, fn func(*storage.RosterItem) error) (storage.RosterChange, error)
	CountRoster(ctx context.Context, owner jid.JID) (int, error)

	PendingMessages(ctx context.Context, owner jid.JID, after, upTo int64, limit int) ([]storage.Message, error)
	ConfirmMessages(ctx context.Context, list []storage.Confirmed) error
	CountMessages(ctx context.Context, owner jid.JID) (int, error)
	DeleteMessagesBefore(ctx context.Context, before time.Time, limit int) (int, error)

	Archive(ctx context.Context, q storage.ArchiveQuery, fn func(*storage.Message) error) error
	CountArchive(ctx context.Context, q storage.ArchiveQuery) (int64, error)
	ArchiveRows(ctx context.Context, owner jid.JID, seqs []int64) ([]storage.Message, error)
	ArchiveEnds(ctx context.Context, owner jid.JID) (first, last storage.ArchiveEnd, err error)
	TrimArchives(ctx context.Context, trim storage.Trim, from int64, limit int) (deleted int, next int64, err error)
	RemoveArchive(ctx context.Context, owner, with jid.JID, limit int) (deleted int, err error)
	IndexTexts(ctx context.Context, limit int, words func(xml []byte) []string) (int, error)

	Inbox(ctx context.Context, q storage.InboxQuery, fn func(*storage.InboxEntry) error) error
	InboxTotals(ctx context.Context, owner jid.JID) (storage.InboxTotals, error)
	RebuildInbox(ctx context.Context, owner jid.JID, at storage.InboxRebuild, limit int, judge func(*storage.Message) storage.Judgement) (storage.InboxRebuild, error)

	Stream(ctx context.Context, id string) (storage.Stream, error)
	SaveSnapshots(ctx context.Context, snapshots []storage.Snapshot) error
	TakeSnapshots(ctx context.Context, limit int) ([]storage.Snapshot, error)
	DeleteStreams(ctx context.Context, before time.Time, limit int) (int, error)

	Blocklists(ctx context.Context, owners []jid.JID) ([]storage.Blocked, error)
	Block(ctx context.Context, b storage.Block) (before []jid.JID, reports int, err error)
	Unblock(ctx context.Context, owner jid.JID, items []jid.JID) (before []jid.JID, err error)
	Reports(ctx context.Context, state storage.ReportState, after int64, limit int) ([]storage.Report, error)
	CloseReport(ctx context.Context, id int64, at time.Time, comment string) error

	KV(namespace string) storage.KV
	Meta(ctx context.Context, key string) ([]byte, error)
	PutMetaOnce(ctx context.Context, key string, value []byte) ([]byte, error)
}

// Options are the options that the suite sets; others are up to the Database.
type Options struct {
	CommitTimeout time.Duration // 0: long enough for a busy machine
	BeforeCommit  func(context.Context) error
}

// Database is an empty database made for one test.
type Database interface {
	// Open opens it; the same one each time.
	Open(ctx context.Context, o Options) (Store, error)
	// Tables returns the number of rows of every table in it.
	Tables(t *testing.T) map[string]int
	// Exec runs a statement behind the store's back.
	Exec(t *testing.T, statement string)
}

// Patience is a CommitTimeout that no test should reach.
const Patience = time.Minute

// Run runs the suite; create makes a new Database for each of its tests.
func Run(t *testing.T, create func(t *testing.T) Database) {
	for name, test := range map[string]func(*testing.T, Database){
		"Accounts":            accounts,
		"AccountPages":        accountPages,
		"Ban":                 ban,
		"RemoveLeavesNothing": removeLeavesNothing,
		"Roster":              roster,
		"RosterErrors":        rosterErrors,
		"RosterVersions":      rosterVersions,
		"RosterVersionBounds": rosterVersionBounds,
		"RosterLimit":         rosterLimit,
		"RosterRace":          rosterRace,
		"Messages":            messages,
		"MessageLimits":       messageLimits,
		"KnownAtLimit":        knownAtLimit,
		"OldMessages":         oldMessages,
		"GroupOrder":          groupOrder,
		"GroupBadRow":         groupBadRow,
		"GroupRefusedRows":    groupRefusedRows,
		"GroupReaders":        groupReaders,
		"GroupDeadline":       groupDeadline,
		"GroupTriesAgain":     groupTriesAgain,
		"GroupRemembers":      groupRemembers,
		"GroupRemovalRace":    groupRemovalRace,
		"CloseFlushes":        closeFlushes,
		"ArchiveModel":        archiveModel,
		"ArchiveStops":        archiveStops,
		"ArchiveReader":       archiveReader,
		"Unique":              unique,
		"Confirmations":       confirmations,
		"ManyRanges":          manyRanges,
		"JoinedRanges":        joinedRanges,
		"OldArchived":         oldArchived,
		"Marks":               marks,
		"TrimByAge":           trimByAge,
		"TrimBySize":          trimBySize,
		"TrimUndelivered":     trimUndelivered,
		"RemoveWith":          removeWith,
		"GroupChanges":        groupChanges,
		"Retractions":         retractions,
		"RetractedAgain":      retractedAgain,
		"RefusedRows":         refusedRows,
		"RefusedAlone":        refusedAlone,
		"RefusedTogether":     refusedTogether,
		"SameKey":             sameKey,
		"BoundedKeys":         boundedKeys,
		"OtherSide":           otherSide,
		"SameText":            sameText,
		"ManyCorrections":     manyCorrections,
		"RetractionCloses":    retractionCloses,
		"NoOriginal":          noOriginal,
		"BothCopies":          bothCopies,
		"InboxHistories":      inboxHistories,
		"InboxFromArchive":    inboxFromArchive,
		"InboxPages":          inboxPages,
		"InboxCorrections":    inboxCorrections,
		"Streams":             streams,
		"StreamGroup":         streamGroup,
		"StreamBadRow":        streamBadRow,
		"StreamRollback":      streamRollback,
		"StreamsReopen":       streamsReopen,
		"DeleteStreams":       deleteStreams,
		"Snapshots":           snapshots,
		"SnapshotOutlived":    snapshotOutlived,
		"SnapshotsTogether":   snapshotsTogether,
		"SnapshotRace":        snapshotRace,
		"Blocklists":          blocklists,
		"BlockRace":           blockRace,
		"Reports":             reports,
		"AddCredentials":      addCredentials,
		"Tokens":              tokens,
		"TokenCount":          tokenCount,
		"TokenOrder":          tokenOrder,
		"TokenLimit":          tokenLimit,
		"TokenRevocation":     tokenRevocation,
		"TokenRace":           tokenRace,
		"KV":                  keyValue,
		"Meta":                meta,
		"MetaRace":            metaRace,
		"Reopen":              reopen,
		"NewerSchema":         newerSchema,
		"Upgrade":             upgrade,
		"Cancelled":           cancelled,
		"SearchModel":         searchModel,
		"SearchFar":           searchFar,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, create(t))
		})
	}
}

var (
	romeo  = jid.MustParse("romeo@example.org")
	juliet = jid.MustParse("juliet@example.org")
	nurse  = jid.MustParse("nurse@example.com")
)

// open opens the database for the time of the test.
func open(t *testing.T, d Database, o Options) Store {
	t.Helper()
	if o.CommitTimeout == 0 {
		o.CommitTimeout = Patience
	}
	s, err := d.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

// openWith opens the database and creates accounts.
func openWith(t *testing.T, d Database, o Options, owners ...jid.JID) Store {
	t.Helper()
	s := open(t, d, o)
	for _, owner := range owners {
		must(t, s.CreateAccount(t.Context(), owner, nil))
	}
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}
