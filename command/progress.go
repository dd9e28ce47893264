package command

import "context"

type progressKey struct{}

// WithProgress returns a context in which Progress calls fn. A front end that can
// show progress runs commands with it.
func WithProgress(ctx context.Context, fn func(done, of int64)) context.Context {
	return context.WithValue(ctx, progressKey{}, fn)
}

// Progress tells whoever called the command how far it is, in whatever the command
// counts; of is 0 as long as the end is not known. A command that may last calls it
// as often as it likes, between two steps of its work, with no lock and no
// transaction held, for it may wait for the caller's connection; and only from the
// goroutine of Run, before Run returns. Without a front end that shows progress it
// does nothing.
func Progress(ctx context.Context, done, of int64) {
	if fn, ok := ctx.Value(progressKey{}).(func(done, of int64)); ok {
		fn(done, of)
	}
}
