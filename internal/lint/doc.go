// Package lint holds zenith's own rules about its source, as tests: who may import
// whom, which library stays behind which door, that packages say what they are, and
// how long a file may grow. A new package needs a line in the table here: a decision,
// not an accident.
package lint
