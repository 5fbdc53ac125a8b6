package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/durable"
)

// branchFile is the file, beside .git, with the name of the branch that zenith checkout has chosen for the directory tree there: the
// branch that uri, psql and env mean if none is named. Each worktree of git has one of its own.
const branchFile = ".zenith-branch"

func cmdCheckout(e *environ) *cli.Command {
	return &cli.Command{
		Name: "checkout", ArgsUsage: "BRANCH [POINT]", Usage: "choose the branch that uri, psql and env mean in this git checkout",
		Description: `The choice is kept in the file .zenith-branch beside .git (list it in .gitignore), so each worktree has its own. Nothing is started
or moved. Examples:

   zenith checkout dev
   zenith checkout -b feature/x             make the branch, from main
   zenith checkout -b fix main@-1h          from another point
   eval "$(zenith env)"`,
		Flags: []cli.Flag{tenantFlag(), &cli.BoolFlag{Name: "b", Usage: "make the branch if it is not there, at POINT (default: main)"}},
		Action: withArgs(1, 2, func(c *cli.Context) error {
			if c.NArg() == 2 && !c.Bool("b") {
				return usagef("a point is for a branch that is made: with -b")
			}
			return e.withTenant(c, func(ctx context.Context, s *session) error {
				return e.checkout(ctx, s, c.Args().Slice(), c.Bool("b"))
			})
		}),
	}
}

func (e *environ) checkout(ctx context.Context, s *session, args []string, create bool) error {
	name, from := args[0], api.MainBranch
	if len(args) == 2 {
		from = args[1]
	}
	if strings.Contains(name, "@") {
		return usagef("%s: want the name of a branch (a point of one does not move, and cannot be written)", name)
	}
	_, err := s.LSN(ctx, s.tenant, name)
	if errors.Is(err, api.ErrNotFound) && create {
		if from, err = e.point(ctx, s, from); err == nil {
			_, err = s.BranchCreate(ctx, s.tenant, name, from, api.BranchOptions{})
		}
	}
	if err != nil {
		return err
	}
	path, err := branchPath()
	if err == nil {
		err = durable.WriteFile(path, []byte(name+"\n"), 0o644)
	}
	if err != nil {
		return fmt.Errorf("note the branch: %w", err)
	}
	fmt.Fprintf(e.out, "on branch %s\n", name)
	return nil
}

// branchPath gives the path of the branchFile of the current directory: beside the .git above it, or else in it.
func branchPath() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return filepath.Join(dir, branchFile), nil
		}
		if dir == filepath.Dir(dir) {
			return filepath.Join(here, branchFile), nil
		}
	}
}

// checkedOut gives the branch that zenith checkout has chosen here, or main.
func checkedOut() (string, error) {
	path, err := branchPath()
	if err != nil {
		return "", err
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return api.MainBranch, nil
	}
	name := strings.TrimSpace(string(text))
	if err == nil && (name == "" || strings.ContainsAny(name, "@\n")) {
		err = fmt.Errorf("it names no branch (zenith checkout BRANCH)")
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return name, nil
}
