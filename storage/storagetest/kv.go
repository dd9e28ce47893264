package storagetest

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/xmppd/xmppd/jid"
	"github.com/xmppd/xmppd/storage"
)

func keyValue(t *testing.T, d Database) {
	ctx, s := t.Context(), openWith(t, d, Options{}, romeo, juliet)
	one, two := s.KV("one"), s.KV("two")
	for _, key := range []string{"b", "a", "ä", "B", ""} {
		must(t, one.Put(ctx, romeo, key, []byte("old")))
		must(t, one.Put(ctx, jid.MustParse("romeo@example.org/orchard"), key, []byte("one "+key)))
	}
	must(t, two.Put(ctx, romeo, "a", []byte{0, 255}))
	must(t, one.Put(ctx, juliet, "a", nil))

	for _, c := range []struct {
		kv      storage.KV
		account jid.JID
		key     string
		want    []byte
	}{
		{one, romeo, "a", []byte("one a")},
		{one, romeo, "", []byte("one ")},
		{two, romeo, "a", []byte{0, 255}},
		{one, juliet, "a", nil},
	} {
		if got, err := c.kv.Get(ctx, c.account, c.key); err != nil || !bytes.Equal(got, c.want) {
			t.Errorf("%s %q: %q, %v", c.account, c.key, got, err)
		}
	}
	for _, c := range []struct {
		kv      storage.KV
		account jid.JID
		want    []string
	}{
		{one, romeo, []string{"", "B", "a", "b", "ä"}},
		{two, romeo, []string{"a"}},
		{two, juliet, nil},
		{one, nurse, nil},
	} {
		got, err := c.kv.Keys(ctx, c.account)
		if diff := cmp.Diff(c.want, got); diff != "" || err != nil {
			t.Errorf("keys of %s: %v (-want +got):\n%s", c.account, err, diff)
		}
	}

	must(t, one.Delete(ctx, romeo, "a"))
	must(t, one.Delete(ctx, romeo, "a"))
	_, err := one.Get(ctx, romeo, "a")
	wantError(t, err, storage.ErrNotFound)
	_, err = two.Get(ctx, romeo, "a")
	must(t, err)
	_, err = one.Get(ctx, nurse, "a")
	wantError(t, err, storage.ErrNotFound)
	wantError(t, one.Put(ctx, nurse, "a", nil), storage.ErrNotFound)
}

func meta(t *testing.T, d Database) {
	ctx, s := t.Context(), open(t, d, Options{})
	_, err := s.Meta(ctx, "key")
	wantError(t, err, storage.ErrNotFound)
	for _, value := range []string{"first", "second"} {
		got, err := s.PutMetaOnce(ctx, "key", []byte(value))
		must(t, err)
		if string(got) != "first" {
			t.Errorf("PutMetaOnce returned %q", got)
		}
	}
	if got, err := s.Meta(ctx, "key"); string(got) != "first" || err != nil {
		t.Errorf("Meta returned %q, %v", got, err)
	}
}

// metaRace: all who store a value at once go on with the same one.
func metaRace(t *testing.T, d Database) {
	s := open(t, d, Options{})
	got := make([]string, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			value, err := s.PutMetaOnce(t.Context(), "key", []byte(fmt.Sprint("value ", i)))
			if err != nil {
				t.Error(err)
			}
			got[i] = string(value)
		})
	}
	wg.Wait()
	for _, g := range got {
		if g != got[0] || g == "" {
			t.Errorf("values differ: %q", got)
			break
		}
	}
}
