package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// tick is the unit of CPU times in /proc: USER_HZ is 100 wherever Go runs.
const tick = time.Second / 100

// parsePIDs takes PIDs, or @FILE with a PID in its first word, by commas.
func parsePIDs(list string) ([]int, error) {
	var all []int
	for _, p := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		if file, ok := strings.CutPrefix(p, "@"); ok {
			b, err := os.ReadFile(file)
			if err != nil {
				return nil, err
			}
			words := strings.Fields(string(b))
			if len(words) == 0 {
				return nil, fmt.Errorf("%s is empty", file)
			}
			p = words[0]
		}
		pid, err := strconv.Atoi(p)
		if err != nil || pid < 1 {
			return nil, fmt.Errorf("bad -pid %q", p)
		}
		if _, err := process(pid); err != nil {
			return nil, fmt.Errorf("bad -pid %d: %w", pid, err)
		}
		all = append(all, pid)
	}
	return all, nil
}

// usage is what processes have used so far, and hold now.
type usage struct {
	at     time.Time
	server time.Duration // CPU time of the server's processes, ended children included
	self   time.Duration // of this one and its children that have ended
	busy   time.Duration // of all processes of the machine
	steal  time.Duration // what the hypervisor took
	rss    int64         // bytes of the server
	pss    int64
	files  int // open descriptors of the server
}

// sample reads /proc. Memory and descriptors are read only when asked for,
// since that stops the processes for a while.
func sample(roots []int, memory bool) usage {
	u := usage{at: time.Now()}
	for _, pid := range tree(roots) {
		if p, err := process(pid); err == nil {
			u.server += p.cpu
		}
		if memory {
			u.rss += field(pid, "smaps_rollup", "Rss")
			u.pss += field(pid, "smaps_rollup", "Pss")
			u.files += descriptors(pid)
		}
	}
	if p, err := process(os.Getpid()); err == nil {
		u.self = p.cpu
	}
	if b, err := os.ReadFile("/proc/stat"); err == nil {
		u.busy, u.steal = parseMachine(b)
	}
	return u
}

func descriptors(pid int) int {
	all, _ := os.ReadDir(proc(pid, "fd"))
	return len(all)
}

func proc(pid int, name string) string { return filepath.Join("/proc", strconv.Itoa(pid), name) }

// stat is a line of /proc/PID/stat, as far as it is needed.
type stat struct {
	parent int
	cpu    time.Duration
}

func process(pid int) (stat, error) {
	b, err := os.ReadFile(proc(pid, "stat"))
	if err != nil {
		return stat{}, err
	}
	return parseStat(b)
}

var errStat = errors.New("unexpected text in stat")

// parseStat counts the fields behind the command's name, which may hold
// anything, brackets and spaces included: field 3 comes first.
func parseStat(line []byte) (stat, error) {
	i := bytes.LastIndexByte(line, ')')
	if i < 0 {
		return stat{}, errStat
	}
	f := strings.Fields(string(line[i+1:]))
	if len(f) < 15 {
		return stat{}, errStat
	}
	var s stat
	var err error
	if s.parent, err = strconv.Atoi(f[1]); err != nil {
		return stat{}, errStat
	}
	for _, v := range f[11:15] { // utime, stime, cutime, cstime
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return stat{}, errStat
		}
		s.cpu += time.Duration(n) * tick
	}
	return s, nil
}

// parseMachine reads the first line of /proc/stat.
func parseMachine(b []byte) (busy, steal time.Duration) {
	line, _, _ := strings.Cut(string(b), "\n")
	f := strings.Fields(line)
	for i := 1; i < len(f) && i <= 8; i++ {
		n, _ := strconv.ParseInt(f[i], 10, 64)
		switch i {
		case 4, 5: // idle, iowait
		case 8:
			steal = time.Duration(n) * tick
		default:
			busy += time.Duration(n) * tick
		}
	}
	return busy, steal
}

// tree returns the processes with all their descendants.
func tree(roots []int) []int {
	if len(roots) == 0 {
		return nil
	}
	children := make(map[int][]int)
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		if p, err := process(pid); err == nil {
			children[p.parent] = append(children[p.parent], pid)
		}
	}
	return descend(roots, children)
}

func descend(roots []int, children map[int][]int) []int {
	seen := make(map[int]bool)
	var all []int
	for todo := append([]int(nil), roots...); len(todo) > 0; {
		pid := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen[pid] {
			continue
		}
		seen[pid] = true
		all = append(all, pid)
		todo = append(todo, children[pid]...)
	}
	return all
}

// field reads "Name: N kB" of a file in /proc/PID, in bytes; 0 without it.
func field(pid int, file, name string) int64 {
	b, err := os.ReadFile(proc(pid, file))
	if err != nil {
		return 0
	}
	return parseField(b, name)
}

func parseField(b []byte, name string) int64 {
	for line := range strings.Lines(string(b)) {
		if rest, ok := strings.CutPrefix(line, name+":"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				n, _ := strconv.ParseInt(f[0], 10, 64)
				return n << 10
			}
		}
	}
	return 0
}

// peak is the most memory that the server has held at a time since its start.
func peak(roots []int) (bytes int64) {
	for _, pid := range tree(roots) {
		bytes += field(pid, "status", "VmHWM")
	}
	return bytes
}
