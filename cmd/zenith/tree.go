package main

import (
	"fmt"
	"io"

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
	t := tree{w: w, children: map[string][]api.Branch{}}
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
		if _, err := fmt.Fprintf(w, " %s\n", b.Name); err != nil {
			return err
		}
		if err := t.below(b, " "); err != nil {
			return err
		}
	}
	return nil
}

// tree draws a tree of branches to w.
type tree struct {
	w        io.Writer
	children map[string][]api.Branch // by their ancestor's timeline id
}

// below draws the descendants of a branch; margin is what to print to the left of each.
func (t *tree) below(parent api.Branch, margin string) error {
	children := t.children[parent.TimelineID]
	for i, b := range children {
		arm, deeper := "┣━", "┃  "
		if i == len(children)-1 {
			arm, deeper = "┗━", "   "
		}
		if _, err := fmt.Fprintf(t.w, "%s%s @%s: %s\n", margin, arm, b.AncestorLSN, b.Name); err != nil {
			return err
		}
		if err := t.below(b, margin+deeper); err != nil {
			return err
		}
	}
	return nil
}
