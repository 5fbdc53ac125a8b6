package main

import (
	"fmt"
	"io"
	"strings"

	"zenith/internal/api"
)

// drawTree draws branches below their ancestors, siblings in the order given:
//
//	main
//	┣━ @0/1609610: dev
//	┃  ┗━ @0/1700000: dev2
//	┗━ @0/1800000: test
//
// A branch whose ancestor is not in the list is drawn at the left, as one without an ancestor.
func drawTree(w io.Writer, branches []api.Branch) error {
	return walkTree(branches, func(margin string, b api.Branch) error {
		if strings.HasSuffix(margin, " ") {
			margin += "@" + b.AncestorLSN.String() + ": "
		}
		_, err := fmt.Fprintf(w, " %s%s\n", margin, b.Name)
		return err
	})
}

// walkTree calls fn with each branch, ancestors first, and what is drawn before its name: "" for one at the left, else
// the lines that lead to it, and a blank.
func walkTree(branches []api.Branch, fn func(margin string, b api.Branch) error) error {
	t := tree{fn: fn, children: map[string][]api.Branch{}}
	listed := map[string]bool{}
	for _, b := range branches {
		listed[b.TimelineID] = true
	}
	var roots []api.Branch
	for _, b := range branches {
		if b.AncestorID != nil && listed[*b.AncestorID] {
			t.children[*b.AncestorID] = append(t.children[*b.AncestorID], b)
		} else {
			roots = append(roots, b)
		}
	}
	for _, b := range roots {
		if err := fn("", b); err != nil {
			return err
		}
		if err := t.below(b, ""); err != nil {
			return err
		}
	}
	return nil
}

// tree walks through a tree of branches.
type tree struct {
	fn       func(margin string, b api.Branch) error
	children map[string][]api.Branch // by their ancestor's timeline id
}

// below walks through the descendants of a branch; margin is what is drawn to the left of each.
func (t *tree) below(parent api.Branch, margin string) error {
	children := t.children[parent.TimelineID]
	for i, b := range children {
		arm, deeper := "┣━ ", "┃  "
		if i == len(children)-1 {
			arm, deeper = "┗━ ", "   "
		}
		if err := t.fn(margin+arm, b); err != nil {
			return err
		}
		if err := t.below(b, margin+deeper); err != nil {
			return err
		}
	}
	return nil
}
