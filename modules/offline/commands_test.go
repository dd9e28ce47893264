package offline_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestCommands(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.store(message("one"))
	s.Advance(48 * time.Hour)
	s.store(message("two"))
	expect := func(want string, words ...string) {
		t.Helper()
		got, err := s.Call(words...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", words, diff)
		}
	}
	line := func(time, body string) string {
		return time + "\t" + romeo + "\t" + juliet + "\t" + message(body)
	}
	expect("2", "get_offline_count", "juliet", "capulet.lit")
	expect("0", "get_offline_count", "romeo", "capulet.lit")
	expect(line("2026-07-14T23:08:25Z", "one")+"\n"+line("2026-07-16T23:08:25Z", "two"), "get_offline_messages", "juliet", "capulet.lit")
	expect("", "delete_old_messages", "9223372036854775807")
	expect("2", "get_offline_count", "juliet", "capulet.lit")
	expect("", "delete_old_messages", "1")
	expect(line("2026-07-16T23:08:25Z", "two"), "get_offline_messages", "juliet", "capulet.lit")
	for _, name := range []string{"get_offline_count", "get_offline_messages"} {
		if _, err := s.Call(name, "juliet", "capullet.lit"); err == nil || err.Error() != "unknown_host: Unknown virtual host" {
			t.Errorf("%s of a domain that is not served: %v", name, err)
		}
	}
	if _, err := s.Call("delete_old_messages", "-1"); err == nil {
		t.Error("a negative number of days")
	}
}
