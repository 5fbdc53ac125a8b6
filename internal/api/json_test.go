package api_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"testing"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// TestJSON: what other clients, and page servers of other builds, read and write.
func TestJSON(t *testing.T) {
	for _, c := range []struct {
		v, into any
		want    string
	}{
		{api.Branch{Name: "main", TimelineID: "a", LatestValidLSN: 0x2000000}, &api.Branch{},
			`{"name":"main","timeline_id":"a","latest_valid_lsn":"0/2000000","ancestor_id":null,"ancestor_lsn":null}`},
		{api.Branch{Name: "dev", TimelineID: "b", LatestValidLSN: 0x16B3800, AncestorID: new("a"), AncestorLSN: new(pg.LSN(0x16B3748))}, &api.Branch{},
			`{"name":"dev","timeline_id":"b","latest_valid_lsn":"0/16B3800","ancestor_id":"a","ancestor_lsn":"0/16B3748"}`},
		{api.Offer{TimelineID: "a", Name: "main", SysID: 1 << 63, TLI: 1, SegSize: 16, Parent: "b", Start: 3, From: 4, To: 0x16B3748}, &api.Offer{},
			`{"timeline_id":"a","name":"main","sysid":"9223372036854775808","tli":1,"seg_size":16,"parent":"b","start":"3","from":"4","to":"23803720"}`},
		{api.Offer{TimelineID: "a", TLI: 2, History: pg.OnTLI(1).Switched(2, 0x16B3748), SegSize: 16, Start: 3, From: 4, To: 5}, &api.Offer{},
			`{"timeline_id":"a","sysid":"0","tli":2,"history":[{"tli":1,"begin":"0/0"},{"tli":2,"begin":"0/16B3748"}],"seg_size":16,"start":"3","from":"4","to":"5"}`},
		{api.Offer{TimelineID: "a", Name: "main", Major: 15, SysID: 1 << 63, TLI: 1, SegSize: 16, Start: 3, From: 4, To: 5}, &api.Offer{},
			`{"timeline_id":"a","name":"main","major":15,"sysid":"9223372036854775808","tli":1,"seg_size":16,"start":"3","from":"4","to":"5"}`},
		{api.Held{There: true, Name: "main", Start: 3, Head: 0x16B3748, Files: map[string]string{"x@0/1": "y"}}, &api.Held{},
			`{"there":true,"name":"main","files":{"x@0/1":"y"},"start":"3","head":"23803720"}`},
	} {
		got, err := json.Marshal(c.v)
		if err != nil || string(got) != c.want {
			t.Errorf("got  %s, %v\nwant %s", got, err, c.want)
		}
		if err := json.Unmarshal([]byte(c.want), c.into); err != nil {
			t.Error(err)
		}
		if back := reflect.ValueOf(c.into).Elem().Interface(); !reflect.DeepEqual(back, c.v) {
			t.Errorf("got back %+v, want %+v", back, c.v)
		}
	}
}

func BenchmarkBranchList(b *testing.B) {
	list := make([]api.Branch, 5000)
	for i := range list {
		list[i] = api.Branch{Name: fmt.Sprintf("branch-%d", i), TimelineID: "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", LatestValidLSN: 0x16B3800,
			AncestorID: new("bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"), AncestorLSN: new(pg.LSN(i * 8))}
	}
	text, err := json.Marshal(list)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("marshal", func(b *testing.B) {
		for b.Loop() {
			if _, err := json.Marshal(list); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		for b.Loop() {
			var back []api.Branch
			if err := json.Unmarshal(text, &back); err != nil {
				b.Fatal(err)
			}
		}
	})
}
