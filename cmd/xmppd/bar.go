package main

import (
	"fmt"
	"io"
	"io/fs"
)

// bar draws the progress of a command on one line of a terminal.
type bar struct {
	w    io.Writer
	name string
	wide int // columns in use
}

// draw shows how far the command is; without a known end (0) only what is done.
func (b *bar) draw(done, of int64) {
	text := fmt.Sprintf("%s  %d", b.name, done)
	if of > 0 {
		part := min(max(float64(done)/float64(of), 0), 1)
		text = fmt.Sprintf("%s  %3d %%  %d of %d", b.name, int(100*part), done, of)
	}
	// Written at once, so that nothing flickers; over all of what was there before.
	b.wide = max(b.wide, len(text))
	fmt.Fprintf(b.w, "\r%-*s", b.wide, text)
}

// clear makes room for what is printed next.
func (b *bar) clear() {
	if b.wide > 0 {
		fmt.Fprintf(b.w, "\r%*s\r", b.wide, "")
	}
}

// terminal reports whether a person may be looking at what is written to w.
func terminal(w io.Writer) bool {
	f, ok := w.(interface{ Stat() (fs.FileInfo, error) })
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&fs.ModeCharDevice != 0
}
