package walredo

import (
	"fmt"
	"slices"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// pruneFlags are the bits of a record that prunes and freezes, since 17, by their names there: XLHP_*.
var pruneFlags = []string{1: "IS_CATALOG_REL", 2: "CLEANUP_LOCK", 3: "HAS_CONFLICT_HORIZON", 4: "HAS_FREEZE_PLANS", 5: "HAS_REDIRECTIONS",
	6: "HAS_DEAD_ITEMS", 7: "HAS_NOW_UNUSED_ITEMS", 8: "VM_ALL_VISIBLE", 9: "VM_ALL_FROZEN"}

// clearing are the operations that clear bits of the visibility map. Minor releases since 17.11 and 18.6 register the map's
// page, and those before do not. Heap2/LOCK_UPDATED is not among them: see unreached.
var clearing = []string{"Heap/INSERT", "Heap/DELETE", "Heap/UPDATE", "Heap/HOT_UPDATE", "Heap/LOCK", "Heap2/MULTI_INSERT"}

// wantForms are the forms of records, beyond their operations (TestEveryOp), which the fixtures of a server must have.
func wantForms(server string) (want []string) {
	const first, firstOf19 = 1, 8
	switch server {
	case "14", "15", "16":
		want = append(want, "prune: redirected", "prune: dead", "prune: unused", "freeze: several tuples", "prune: catalog", "freeze: catalog")
		if server != "16" { // which says so
			want = want[:4]
		}
	case "19":
		for _, flag := range pruneFlags[firstOf19:] {
			want = append(want, "prune: "+flag)
		}
		want = append(want, "multixact: members beyond 32 bits", "multixact: a truncation beyond 32 bits")
		fallthrough
	case "17", "18":
		for _, flag := range pruneFlags[first:firstOf19] {
			want = append(want, "prune: "+flag)
		}
		want = append(want, "prune: without a cleanup lock")
		for _, op := range clearing {
			want = append(want, "map's page registered: "+op)
		}
	case "17.10", "18.4":
		for _, op := range clearing {
			want = append(want, "map's page not registered: "+op)
		}
		return want
	}
	return append(want, "spgist: redirects", "spgist: placeholders")
}

// formsOf gives the forms that a record has.
func formsOf(t *testing.T, rec *xlog.Record) (forms []string) {
	t.Helper()
	has := func(yes bool, format string, args ...any) {
		if yes {
			forms = append(forms, fmt.Sprintf(format, args...))
		}
	}
	fail := func(err error) {
		if err != nil {
			t.Errorf("%s\n\t%v", describe(rec), err)
		}
	}
	id := opOf(rec)
	id.init = false // whether the page is made anew is another matter
	name := "none"
	if m, o := lookup(rec); m != nil && o != nil {
		name = nameOf(id)
	}
	switch name {
	case "Heap2/PRUNE":
		x, err := xlog.ParseHeapPrune(rec)
		fail(err)
		unused := len(rec.Blocks[0].Data) - 4*x.NRedirected - 2*x.NDead
		has(x.NRedirected > 0, "prune: redirected")
		has(x.NDead > 0, "prune: dead")
		has(unused > 0, "prune: unused")
		has(x.CatalogRel, "prune: catalog")
	case "Heap2/FREEZE_PAGE":
		x, err := xlog.ParseHeapFreezePage(rec)
		fail(err)
		has(x.N > 1, "freeze: several tuples")
		has(x.CatalogRel, "freeze: catalog")
	case "Heap2/PRUNE_ON_ACCESS", "Heap2/PRUNE_VACUUM_SCAN", "Heap2/PRUNE_VACUUM_CLEANUP":
		x, err := xlog.ParseHeapPruneFreeze(rec)
		fail(err)
		for bit, flag := range pruneFlags {
			has(x.Flags&(1<<bit) != 0 && flag != "", "prune: %s", flag)
		}
		has(x.Flags&xlog.PruneCleanupLock == 0, "prune: without a cleanup lock")
	case "MultiXact/CREATE_ID":
		x, err := xlog.ParseMultiXactCreate(rec)
		fail(err)
		has(x.Offset >= 1<<32, "multixact: members beyond 32 bits")
	case "MultiXact/TRUNCATE_ID":
		x, err := xlog.ParseMultiXactTruncate(rec)
		fail(err)
		has(x.EndMember >= 1<<32, "multixact: a truncation beyond 32 bits")
	case "SPGist/VACUUM_REDIRECT":
		x, err := xlog.ParseSpgVacuumRedirect(rec)
		fail(err)
		has(x.ToPlaceholder.Len() > 0, "spgist: redirects")
		has(x.FirstPlaceholder > 0, "spgist: placeholders")
	}
	if rec.RmgrID == xlog.RmHeap || rec.RmgrID == xlog.RmHeap2 {
		ofMap := func(b xlog.BlockRef) bool { return b.Tag.Fork == pg.VisibilityMapFork }
		registered := slices.ContainsFunc(rec.Blocks, ofMap)
		has(registered, "map's page registered: %s", name)
		fail(Touches(rec, func(tag pg.BufferTag) {
			has(tag.Fork == pg.VisibilityMapFork && !registered, "map's page not registered: %s", name)
		}))
	}
	return forms
}

// TestForms sees that the fixtures have records in each form in which a server writes them: TestEveryOp is content with
// one, and minor releases of one major version differ.
func TestForms(t *testing.T) {
	if *only != "" {
		t.Skip("another -case is selected")
	}
	seen := map[string]map[string]int{}
	for _, f := range fixtures(t) {
		if seen[f.server] == nil {
			seen[f.server] = map[string]int{}
		}
		eachRecord(t, f.wal(t).Reader(), func(rec *xlog.Record) bool {
			for _, form := range formsOf(t, rec) {
				seen[f.server][form]++
			}
			return true
		})
	}
	for server, forms := range seen {
		for _, form := range wantForms(server) {
			if forms[form] == 0 {
				t.Errorf("no fixture of %s has a record in this form: %s", server, form)
			}
		}
	}
}
