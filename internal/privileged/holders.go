package privileged

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// holders names the processes that use something below dir, as the end of an error message, as
// far as this process may see it; "" if it sees none.
func holders(dir string) string {
	procs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return ""
	}
	var found []string
	for _, proc := range procs {
		if !uses(proc, dir) {
			continue
		}
		name, _ := os.ReadFile(proc + "/comm") // fails if the process has ended by now: then it has no name
		found = append(found, fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), filepath.Base(proc)))
		if len(found) == 5 {
			found = append(found, "...")
			break
		}
	}
	if len(found) == 0 {
		return ""
	}
	return " by " + strings.Join(found, ", ")
}

// uses reports whether a process has a file or its current directory below dir. The links in
// /proc are read and never followed: to follow one is to use the mount.
func uses(proc, dir string) bool {
	links, _ := filepath.Glob(proc + "/fd/*")
	for _, l := range append(links, proc+"/cwd", proc+"/root") {
		target, err := os.Readlink(l)
		if err == nil && (target == dir || strings.HasPrefix(target, dir+"/")) {
			return true
		}
	}
	return false
}
