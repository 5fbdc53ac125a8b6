package tree

import "strings"

// Join gives the path of a name in a directory.
func Join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// Split takes a path apart into its directory and the name in it: the reverse of Join.
func Split(path string) (dir, name string) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return "", path
	}
	return path[:i], path[i+1:]
}

// Below gives path relative to dir; ok is false if path is not below dir.
func Below(dir, path string) (rest string, ok bool) {
	if dir == "" {
		return path, path != ""
	}
	rest, ok = strings.CutPrefix(path, dir+"/")
	return rest, ok && rest != ""
}
