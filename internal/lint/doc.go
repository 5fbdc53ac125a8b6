// Package lint has zenith's own rules about its source, as tests:
//
//	lint_test.go      which package may import which, and which library; packages have a comment;
//	                  files have at most 500 lines; examples compile in other modules
//	durable_test.go   files are replaced and synced by package durable
//	beneath_test.go   nothing is done by paths in directories of lesser accounts
//	process_test.go   nothing changes the current directory or depends on the environment
//	files_test.go     no large file is in the repository
//	deadcode_test.go  no function is shipped that only tests call
//
// A new package needs a line in the table of lint_test.go: a decision, not an accident.
package lint
