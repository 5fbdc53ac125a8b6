package repo

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"zenith/internal/pg"
	"zenith/internal/varint"
	"zenith/repo/store"
)

// A file's value, stamped, is one of
//
//	0                   there is no such file
//	1 | content
//	2 | uvarint size    the content is in parts of filePart bytes
//
// The parts are files themselves, of the same version, with a NUL and the part's number
// behind the path: no other file has such a name.
const (
	fileAbsent byte = iota
	fileWhole
	fileParted
)

// filePart is how many bytes of a file a value has at most.
const filePart = 256 << 10

// encodeFile makes the value of a file that is not in parts.
func encodeFile(content []byte) []byte {
	if content == nil {
		return []byte{fileAbsent}
	}
	return append(append(make([]byte, 0, len(content)+5), fileWhole), content...)
}

// putFile calls put with the object and value of a file, and of each of its parts before: put adds
// the version and stamps the value.
func putFile(path string, content []byte, put func(object, body []byte) error) error {
	if len(content) <= filePart {
		return put(appendFile(nil, path), encodeFile(content))
	}
	for i := 0; i*filePart < len(content); i++ {
		part := content[i*filePart : min((i+1)*filePart, len(content))]
		if err := put(appendFile(nil, partPath(path, i)), encodeFile(part)); err != nil {
			return err
		}
	}
	return put(appendFile(nil, path), binary.AppendUvarint([]byte{fileParted}, uint64(len(content))))
}

// partPath is the path of part i of a file.
func partPath(path string, i int) string { return path + "\x00" + strconv.Itoa(i) }

// isPart reports whether path is that of a part of a file.
func isPart(path string) bool { return strings.IndexByte(path, 0) >= 0 }

// eachFile calls fn with each file whose path begins with prefix, in order: those in the store, at
// any LSN of any timeline, and those whose objects are in extra. Parts of files are left out.
func eachFile(ctx context.Context, s store.Store, prefix string, extra []string, fn func(c *cursor, path string) error) error {
	return eachObject(s, append([]byte{byte(kindFile)}, prefix...), extra, func(c *cursor, object []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		path, ok := parseFile(object)
		if !ok {
			return fmt.Errorf("key %x: %w", object, ErrCorrupt)
		}
		if isPart(path) {
			return nil
		}
		return fn(c, path)
	})
}

// decodeFile takes a file's value apart. part reads part i of the file, if it is in parts. b is not
// empty.
func decodeFile(b []byte, at pg.LSN, part func(i int) (fileVersion, error)) (fileVersion, error) {
	f := fileVersion{lsn: at}
	switch b[0] {
	case fileAbsent:
		return f, nil
	case fileWhole:
		f.content = append(make([]byte, 0, len(b)), b[1:]...)
		return f, nil
	case fileParted:
		d := varint.Reader{Rest: b[1:]}
		size := d.Uint()
		if d.Bad || size <= filePart || size > maxFile {
			return f, fmt.Errorf("file of %d bytes in parts: %w", size, ErrCorrupt)
		}
		for i := 0; uint64(len(f.content)) < size; i++ {
			p, err := part(i)
			if err != nil {
				return f, err
			}
			if p.lsn != at || len(p.content) == 0 || uint64(len(f.content)+len(p.content)) > size {
				return f, fmt.Errorf("part %d of %d bytes is of %v: %w", i, len(p.content), p.lsn, ErrCorrupt)
			}
			f.content = append(f.content, p.content...)
		}
		return f, nil
	}
	return f, fmt.Errorf("file of kind %d: %w", b[0], ErrCorrupt)
}
