package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// pidIn reads the process id at the beginning of a pid file.
func pidIn(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return 0, fmt.Errorf("%s is empty", path)
	}
	return strconv.Atoi(fields[0])
}

// tick is the unit of times in /proc: 1/USER_HZ seconds, and USER_HZ is 100 on all usual machines.
const tick = 10 * time.Millisecond

// cpuOf gives the CPU time of the processes that pid files name and of their children, including children
// that have ended.
func cpuOf(pidFiles ...string) (time.Duration, error) {
	parents := map[int]bool{}
	for _, file := range pidFiles {
		pid, err := pidIn(file)
		if err != nil {
			return 0, err
		}
		parents[pid] = true
	}
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, file := range stats {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // the process has ended
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return 0, err
		}
		used, parent, err := parseStat(string(text))
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		if parents[pid] || parents[parent] {
			sum += used
		}
	}
	return sum, nil
}

// parseStat reads /proc/PID/stat. used is the sum of utime, stime, cutime and cstime. The second field is the
// command's name, which may have blanks and parentheses in it, so fields are counted from the last ")".
func parseStat(text string) (used time.Duration, parent int, err error) {
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	const first, last = 11, 14 // utime to cstime
	if len(fields) <= last {
		return 0, 0, errors.New("too few fields")
	}
	parent, err = strconv.Atoi(fields[1])
	for _, f := range fields[first : last+1] {
		n, ferr := strconv.Atoi(f)
		err = errors.Join(err, ferr)
		used += time.Duration(n) * tick
	}
	return used, parent, err
}

// anonymous gives a process's anonymous memory, in bytes. The error is ErrNotExist or ESRCH if there is no such
// process.
func anonymous(pid int) (int64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kb << 10, err
		}
	}
	return 0, nil // a process that is just ending has no memory any more
}
