package pg

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
)

// TestVersionsAreWhole: what every version has is set in each literal.
func TestVersionsAreWhole(t *testing.T) {
	for _, v := range Versions {
		for name, ok := range map[string]bool{
			"Release":             v.Major > 0 && v.WALMagic > 0 && v.ControlVersion > 0 && v.Catalog > 0,
			"OverwriteContRecord": v.OverwriteContRecord&v.PageFlags != 0,
			"ImageBits":           v.ImageBits.HasHole > 0 && v.ImageBits.Apply > 0 && v.ImageBits.PGLZ > 0,
			"SLRUPageNoSize":      v.SLRUPageNoSize == 4 || v.SLRUPageNoSize == 8,
			"MultiOffsetSize":     v.MultiOffsetSize == 4 || v.MultiOffsetSize == 8,
			"StatsItemSize":       v.StatsItemSize == 0 || v.StatsItemSize == 12 || v.StatsItemSize == 16,
			"RelMapSize":          v.RelMapSize > 0,
			"OriginsSetting":      v.OriginsSetting != "",
			"control":             v.control != nil && v.control == controlLayoutOf(v.ControlVersion),
			"checkPoint":          v.checkPoint != nil,
		} {
			if !ok {
				t.Errorf("%v: %s is not what it can be", v, name)
			}
		}
	}
}

// fill gives each exported member of a struct a value of its own that is not zero.
func fill(rnd *rand.Rand, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch f.Kind() {
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int32, reflect.Int64:
			f.SetInt(1 + rnd.Int64N(1<<31-1))
		case reflect.Uint32, reflect.Uint64:
			f.SetUint(1 + uint64(rnd.Uint32N(1<<32-1)))
		case reflect.Struct:
			fill(rnd, f)
		}
	}
}

func TestControlFileOfEachLayout(t *testing.T) {
	for _, v := range Versions {
		want := ControlFile{Version: v}
		fill(rand.New(rand.NewPCG(1, uint64(v.Major))), reflect.ValueOf(&want).Elem())
		for i := range want.AuthenticationSalt {
			want.AuthenticationSalt[i] = byte(0xA0 + i)
		}
		if v.checkPoint.walLevel == 0 {
			want.CheckPointCopy.WALLevel = 0
		}
		if v.checkPoint.logicalDecoding == 0 {
			want.CheckPointCopy.LogicalDecoding = false
		}
		b := want.Encode()
		got := ControlFile{Version: v}
		got.move(cstruct{b: b})
		if got != want {
			t.Errorf("%v: got\n%+v, want\n%+v", v, got, want)
		}
		if sum := binary.LittleEndian.Uint32(b[v.control.crc:]); sum != CRC32C(b[:v.control.crc]) {
			t.Errorf("%v: checksum %08X is wrong", v, sum)
		}
		if rest := strings.Trim(string(b[v.control.crc+4:]), "\x00"); rest != "" {
			t.Errorf("%v: something stands behind the checksum: %q", v, rest)
		}
	}
}

// A member of a later minor release, or one that nobody here needs, must not be lost.
func TestControlFileKeepsWhatItDoesNotKnow(t *testing.T) {
	b := (&ControlFile{Version: V15, SystemID: 7}).Encode()
	b[21], b[250] = 0x55, 0x66 // padding
	binary.LittleEndian.PutUint32(b[control1300.crc:], CRC32C(b[:control1300.crc]))
	c, err := ParseControlFile(b)
	if err != nil {
		t.Fatal(err)
	}
	c.SystemID = 8
	if got := c.Encode(); got[21] != 0x55 || got[250] != 0x66 || got[0] != 8 {
		t.Errorf("got %x, want %x but for the system identifier", got[:256], b[:256])
	}
}

// FuzzControlFile: any bytes of a control file of each layout give an error with a name, or what is encoded as it was parsed.
func FuzzControlFile(f *testing.F) {
	var files [][]byte
	for _, v := range Versions {
		c := ControlFile{Version: v}
		fill(rand.New(rand.NewPCG(7, uint64(v.Major))), reflect.ValueOf(&c).Elem())
		files = append(files, c.Encode())
	}
	f.Add([]byte{}, uint8(0), true)
	f.Add([]byte{8, 0, 0x14}, uint8(3), true)
	f.Add([]byte{8, 0, 0x07, 9, 0, 0x71, 40, 0, 1}, uint8(1), false)
	f.Fuzz(func(t *testing.T, edits []byte, version uint8, sealed bool) {
		b := bytes.Clone(files[int(version)%len(files)])
		for ; len(edits) >= 3; edits = edits[3:] {
			b[(int(edits[0])|int(edits[1])<<8)%len(b)] = edits[2]
		}
		if l := controlLayoutOf(binary.LittleEndian.Uint32(b[8:])); sealed && l != nil {
			binary.LittleEndian.PutUint32(b[l.crc:], CRC32C(b[:l.crc]))
		}
		c, err := ParseControlFile(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		again, err := ParseControlFile(c.Encode())
		if err == nil {
			again.file = c.file // a bool may have been another byte than 1
		}
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Errorf("parsed again it is %+v, %v, and was %+v", again, err, c)
		}
	})
}

func TestControlFileOfAnotherMajor(t *testing.T) {
	for _, c := range []struct {
		release Release
		want    string
	}{
		{Release{ControlVersion: 1201, Catalog: 201909212}, "pg_control_version is 1201: PostgreSQL 12"},
		{Release{ControlVersion: 1300, Catalog: 202007201}, "catalog_version_no is 202007201: PostgreSQL 13"},
		{Release{ControlVersion: 1300, Catalog: 202406281}, "catalog_version_no is 202406281: PostgreSQL 17"},
		{Release{ControlVersion: 1800, Catalog: 202506292}, "catalog_version_no is 202506292"},
		{Release{ControlVersion: 1700, Catalog: 202506291}, "catalog_version_no is 202506291: PostgreSQL 18"},
		{Release{ControlVersion: 1300, Catalog: 202209062}, "catalog_version_no is 202209062"},
		{Release{ControlVersion: 9999, Catalog: 202209061}, "pg_control_version is 9999"},
	} {
		v := *V15
		if c.release.ControlVersion == V18.ControlVersion {
			v = *V18 // for where its checksum is
		}
		v.Release = c.release
		_, err := ParseControlFile((&ControlFile{Version: &v}).Encode())
		if !errors.Is(err, ErrVersion) || err.Error() != "pg_control: "+c.want+": "+ErrVersion.Error() {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}

func TestPathsOfAnotherVersion(t *testing.T) {
	v := V19
	member := SLRUMultiMembers.Segment(0x1A)
	for path, want := range map[string]Path{
		"pg_tblspc/16385/PG_19_202610061/5":    {Kind: PathDatabase, Fork: inDatabase(16385, 5)},
		"pg_tblspc/16385/PG_15_202209061/5":    {},
		"pg_twophase/0000000100000298":         {Kind: PathTwoPhase},
		"pg_twophase/00000298":                 {},
		"pg_multixact/members/00000000000001A": {Kind: PathSLRU, Fork: member},
		"pg_multixact/members/001A":            {},
		"pg_multixact/offsets/001A":            {Kind: PathSLRU, Fork: SLRUMultiOffsets.Segment(0x1A)},
		"pg_xact/00000000000001A":              {},
	} {
		if got := v.ParsePath(path); got != want {
			t.Errorf("%s: %+v, want %+v", path, got, want)
		}
	}
	for got, want := range map[string]string{
		v.TwoPhasePath(FullXID(1, 0x298)):   "pg_twophase/0000000100000298",
		V15.TwoPhasePath(FullXID(1, 0x298)): "pg_twophase/00000298",
		v.RelPath(member, 0):                "pg_multixact/members/00000000000001A",
		V15.RelPath(member, 0):              "pg_multixact/members/001A",
		V15.TablespaceDir():                 "PG_15_202209061",
		string(v.VersionFile()):             "19\n",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestWiden(t *testing.T) {
	for _, c := range []struct {
		next FullTransactionID
		xid  TransactionID
		want FullTransactionID
	}{
		{FullXID(3, 100), 99, FullXID(3, 99)},
		{FullXID(3, 100), 0xFFFFFFF0, FullXID(2, 0xFFFFFFF0)},
		{FullXID(0, 100), 50, FullXID(0, 50)},
		{FullXID(3, 0xFFFFFFF0), 0xFFFFFF00, FullXID(3, 0xFFFFFF00)},
	} {
		if got := c.next.Widen(c.xid); got != c.want {
			t.Errorf("%x while %x is next: %x, want %x", c.xid, c.next, got, c.want)
		}
	}
}

func TestMultiOffsets(t *testing.T) {
	narrow, wide := V15, &Version{MultiOffsetSize: 8}
	for _, c := range []struct {
		v         *Version
		off, want MultiXactOffset
		perPage   uint32
		size      int // of an entry
	}{
		{narrow, 1<<32 - 2, 1, 2048, 4},
		{wide, 1<<32 - 2, 1<<32 + 1, 1024, 8},
		{narrow, 1, 4, 2048, 4},
	} {
		if got := c.v.AddMultiOffset(c.off, 3); got != c.want {
			t.Errorf("offset %x and 3: %x, want %x", c.off, got, c.want)
		}
		if !c.v.MultiOffsetPrecedes(c.off, c.want) || c.v.MultiOffsetPrecedes(c.want, c.off) || c.v.MultiOffsetPrecedes(c.off, c.off) {
			t.Errorf("%x is not before %x", c.off, c.want)
		}
		page := make(Page, BlockSize)
		if got := c.v.MultiOffsetsPerPage(); got != c.perPage {
			t.Errorf("%d offsets on a page, want %d", got, c.perPage)
		}
		c.v.PutMultiOffset(page, MultiXactID(3*c.perPage-1), ^MultiXactOffset(0))
		if got := strings.TrimLeft(string(page), "\x00"); len(got) != c.size {
			t.Errorf("the last entry of a page is its last %d bytes, want %d", len(got), c.size)
		}
	}
}

// A checkpoint is stored as a major has it whose struct has no room for all of it. It must not change by that.
func TestStoredCheckPointStays(t *testing.T) {
	c := CheckPoint{NextMultiOffset: 1<<32 + 167, WALLevel: 2, LogicalDecoding: true}
	want := c
	V15.AppendCheckPoint(nil, &c)
	if c != want {
		t.Errorf("stored, it became %+v, want %+v", c, want)
	}
}

func TestCheckPointOfAnotherLength(t *testing.T) {
	b := V19.AppendCheckPoint(nil, &CheckPoint{})
	if _, err := V15.ParseCheckPoint(b); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a checkpoint of %d bytes: got %v, want ErrCorrupt", len(b), err)
	}
}
