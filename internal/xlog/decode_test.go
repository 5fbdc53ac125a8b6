package xlog_test

import (
	"encoding/binary"
	"errors"
	"testing"

	"zenith/internal/pg"
	"zenith/internal/xlog"
)

// rawRecord is a record with that behind its header.
func rawRecord(body string) []byte {
	raw := append(make([]byte, xlog.RecordHeaderSize), body...)
	binary.LittleEndian.PutUint32(raw, uint32(len(raw)))
	return raw
}

const (
	locator = "\x7F\x06\x00\x00\x05\x00\x00\x00\x00\x40\x00\x00" // 1663/5/16384
	blkno7  = "\x07\x00\x00\x00"
)

func TestDecode(t *testing.T) {
	raw := rawRecord("\x00\x60\x02\x00" + locator + blkno7 + // block 0: will init, 2 bytes of data
		"\x02\xA2\x03\x00" + blkno7 + // block 2: the same relation's vm fork, 3 bytes
		"\xFD\x34\x12" + "\xFC\x78\x56\x34\x12" + // origin, toplevel xid
		"\xFF\x04" + "abcdemain")
	var rec xlog.Record
	if err := xlog.Decode(pg.V15, raw, 0x100, 0x200, &rec); err != nil {
		t.Fatal(err)
	}
	tag := pg.RelFork{RelFileLocator: pg.RelFileLocator{SpcOID: 1663, DBOID: 5, RelNumber: 16384}}.Tag(7)
	if rec.StartLSN != 0x100 || rec.EndLSN != 0x200 || rec.Origin != 0x1234 || rec.TopXID != 0x12345678 || string(rec.MainData) != "main" || len(rec.Blocks) != 2 {
		t.Fatalf("%+v", rec)
	}
	if b := rec.Block(0); b.Tag != tag || !b.WillInit || !b.Restores() || string(b.Data) != "ab" {
		t.Errorf("block 0: %+v", b)
	}
	tag.Fork = pg.VisibilityMapFork
	if b := rec.Block(2); b.Tag != tag || b.WillInit || b.Restores() || string(b.Data) != "cde" {
		t.Errorf("block 2: %+v", b)
	}
	if rec.Block(1) != nil {
		t.Error("there is no block 1")
	}
}

func TestDecodeErrors(t *testing.T) {
	image := func(header string) string { return "\x00\x10\x00\x00" + header + locator + blkno7 + "image" }
	for name, raw := range map[string][]byte{
		"nothing":                 nil,
		"short":                   make([]byte, 23),
		"length":                  append(rawRecord("\xFF\x00"), 0),
		"data flag without data":  rawRecord("\x00\x20\x00\x00" + locator + blkno7),
		"data without data flag":  rawRecord("\x00\x00\x01\x00" + locator + blkno7 + "a"),
		"fork":                    rawRecord("\x00\x04\x00\x00" + locator + blkno7),
		"same relation as none":   rawRecord("\x00\x80\x00\x00" + blkno7),
		"ids descend":             rawRecord("\x01\x00\x00\x00" + locator + blkno7 + "\x00\x80\x00\x00" + blkno7),
		"an id twice":             rawRecord("\x00\x00\x00\x00" + locator + blkno7 + "\x00\x80\x00\x00" + blkno7),
		"id":                      rawRecord("\x21\x00\x00\x00" + locator + blkno7),
		"no tablespace":           rawRecord("\x00\x00\x00\x00" + "\x00\x00\x00\x00" + locator[4:] + blkno7),
		"no block":                rawRecord("\x00\x00\x00\x00" + locator + "\xFF\xFF\xFF\xFF"),
		"main data too short":     rawRecord("\xFF\x05main"),
		"main data too long":      rawRecord("\xFF\x03main"),
		"long main data":          rawRecord("\xFE\xFF\xFF\xFF\xFFmain"),
		"origin cut":              rawRecord("\xFD\x01"),
		"toplevel xid cut":        rawRecord("\xFC\x01\x02\x03"),
		"main header cut":         rawRecord("\xFE\x01"),
		"locator cut":             rawRecord("\x00\x00\x00\x00" + locator),
		"block cut":               rawRecord("\x00\x20\x09\x00" + locator + blkno7 + "short"),
		"image cut":               rawRecord("\x00\x10\x00\x00\x05\x00"),
		"image without hole":      rawRecord(image("\x05\x00\x00\x00\x02")),
		"hole offset, no hole":    rawRecord(image("\x05\x00\x01\x00\x06")),
		"hole at 0":               rawRecord(image("\x05\x00\x00\x00\x03")),
		"hole beyond the page":    rawRecord(image("\x05\x00\x20\x00\x03")),
		"compressed hole of 0":    rawRecord(image("\x05\x00\x20\x00\x07\x00\x00")),
		"compressed hole too big": rawRecord(image("\x05\x00\x20\x00\x07\xF0\x1F")),
		"compressed to a page":    rawRecord(image("\x00\x20\x00\x00\x06") + string(make([]byte, 8187))),
	} {
		var rec xlog.Record
		if err := xlog.Decode(pg.V15, raw, 1, 2, &rec); !errors.Is(err, xlog.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", name, err)
		}
	}
}

func TestRestoreErrors(t *testing.T) {
	page := make(pg.Page, pg.BlockSize)
	hole := uint16(pg.BlockSize - 10) // ten bytes are to come out
	for name, c := range map[string]struct {
		info  uint8
		bytes string
		want  error
	}{
		"plain":                   {0, "0123456789", nil},
		"plain, short":            {0, "012345678", xlog.ErrCorrupt},
		"pglz":                    {xlog.ImagePGLZ, "\x08abc\x04\x03", nil}, // three literals, and them again, seven bytes
		"pglz, too little":        {xlog.ImagePGLZ, "\x08abc\x02\x03", xlog.ErrCorrupt},
		"pglz, too much":          {xlog.ImagePGLZ, "\x08abc\x04\x03x", xlog.ErrCorrupt},
		"pglz, distance 0":        {xlog.ImagePGLZ, "\x08abc\x04\x00", xlog.ErrCorrupt},
		"pglz, before the start":  {xlog.ImagePGLZ, "\x08abc\x04\x04", xlog.ErrCorrupt},
		"pglz, tag cut":           {xlog.ImagePGLZ, "\x08abc\x04", xlog.ErrCorrupt},
		"pglz, long tag cut":      {xlog.ImagePGLZ, "\x08abc\x0F\x03", xlog.ErrCorrupt},
		"pglz, nothing":           {xlog.ImagePGLZ, "", xlog.ErrCorrupt},
		"lz4":                     {xlog.ImageLZ4, "\xA00123456789", nil},
		"lz4, short":              {xlog.ImageLZ4, "\x90012345678", xlog.ErrCorrupt},
		"lz4, long":               {xlog.ImageLZ4, "\xB00123456789a", xlog.ErrCorrupt},
		"lz4, nothing":            {xlog.ImageLZ4, "", xlog.ErrCorrupt},
		"zstd":                    {xlog.ImageZSTD, "\x28\xB5\x2F\xFD\x20\x0A\x51\x00\x000123456789", nil},
		"zstd, short":             {xlog.ImageZSTD, "\x28\xB5\x2F\xFD\x20\x09\x49\x00\x00012345678", xlog.ErrCorrupt},
		"zstd, a huge frame":      {xlog.ImageZSTD, "\x28\xB5\x2F\xFD\xE0\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x51\x00\x000123456789", xlog.ErrCorrupt},
		"zstd, more than it says": {xlog.ImageZSTD, "\x28\xB5\x2F\xFD\x20\x0A\x51\x00\x000123456789more", xlog.ErrCorrupt},
	} {
		img := xlog.Image{HoleOffset: 5, HoleLength: hole, Info: c.info | xlog.ImageHasHole, Bytes: []byte(c.bytes)}
		err := img.Restore(page)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if err == nil && (string(page[:5])+string(page[pg.BlockSize-5:]) != "0123456789" && string(page[:5])+string(page[pg.BlockSize-5:]) != "abcabcabca" || page[5] != 0 || page[pg.BlockSize-6] != 0) {
			t.Errorf("%s: page is %q ... %q", name, page[:6], page[pg.BlockSize-6:])
		}
	}
}
