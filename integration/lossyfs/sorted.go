package lossyfs

import (
	"maps"
	"slices"
)

// sorted lists names in order: chance must not depend on the order of a map.
func sorted(names map[string]*file) []string { return slices.Sorted(maps.Keys(names)) }

func sortedBlocks(blocks map[int64]bool) []int64 { return slices.Sorted(maps.Keys(blocks)) }
