package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"
	"github.com/urfave/cli/v2"

	"zenith/internal/api"
	"zenith/internal/durable"
	"zenith/internal/postgres"
)

func cmdExport(e *environ) *cli.Command {
	return &cli.Command{
		Name: "export", ArgsUsage: "POINT",
		Usage: "write a data directory on which stock postgres starts by itself",
		Description: `Examples:

   zenith export main --dir /srv/copy
   zenith export main@-1d --tar main.tar.zst      or .tar, .tar.gz; "-" is standard output
   zenith export main --dir /srv/lab --contained  a postgres on it archives nothing, runs no subscriptions, ...`,
		Flags: []cli.Flag{
			tenantFlag(),
			&cli.StringFlag{Name: "dir", Usage: "into the directory `DIR`, new or empty"},
			&cli.StringFlag{Name: "tar", Usage: "into a tar `FILE`"},
			&cli.BoolFlag{Name: "contained", Usage: "hold back, in its postgresql.auto.conf, what its configuration would reach: archive, standbys, publishers, ... (see docs/copies.md)"},
		},
		Action: withArgs(1, 1, func(c *cli.Context) error {
			if (c.String("dir") == "") == (c.String("tar") == "") {
				return usagef("export: want --dir DIR or --tar FILE")
			}
			if ending := strings.ToLower(filepath.Ext(c.String("tar"))); slices.Contains(otherEndings, ending) {
				return usagef("export --tar %s: zenith writes no %s files: want .tar, .tar.gz or .tar.zst", c.String("tar"), ending)
			}
			return e.withTenant(c, func(ctx context.Context, s *session) error {
				point, err := e.point(ctx, s, c.Args().First())
				if err != nil {
					return err
				}
				tell, end := e.newProgress()
				defer end()
				o := api.ExportOptions{Contained: c.Bool("contained"), Progress: tell}
				o.Note = func(line string) { fmt.Fprintf(e.err, "zenith: export %s: %s\n", point, line) }
				send := func(w io.Writer) error { return s.Export(ctx, s.tenant, point, o, w) }
				if dir := c.String("dir"); dir != "" {
					return e.exportDir(s.cfg, dir, send)
				}
				return e.exportTar(c.String("tar"), send)
			})
		}),
	}
}

// otherEndings are those of files in formats that export does not write. A file of such a name that is a plain tar
// would be taken for a broken one on the day when it is needed.
var otherEndings = []string{".zip", ".bz2", ".xz", ".lz4", ".lzma", ".7z", ".rar", ".br", ".z"}

// exportTar writes the archive that send sends to the file name, or to standard output for "-". The file gets
// its name when it is complete and on disk.
func (e *environ) exportTar(name string, send func(io.Writer) error) error {
	if name == "-" {
		return send(e.out)
	}
	return durable.Replace(name, 0o600, func(f *os.File) error { return compressed(name, f, send) })
}

// compressed has send write to w through the compression that the file's name ends in.
func compressed(name string, w io.Writer, send func(io.Writer) error) error {
	var z io.WriteCloser
	switch {
	case strings.HasSuffix(name, ".gz"), strings.HasSuffix(name, ".tgz"):
		z = gzip.NewWriter(w)
	case strings.HasSuffix(name, ".zst"):
		zw, err := zstd.NewWriter(w)
		if err != nil {
			return err
		}
		z = zw
	default:
		return send(w)
	}
	err := send(z)
	if err != nil {
		return err // without closing z, which would make a cut archive look complete
	}
	return z.Close()
}

// exportDir unpacks the archive that send sends into a directory, which must be empty or not exist, and
// syncs it. If root runs zenith, the directory belongs to the account that runs postgres, where there is one. After a failure the
// directory is as it was before.
func (e *environ) exportDir(cfg *cliConfig, dir string, send func(io.Writer) error) error {
	user, err := e.pgUser(cfg)
	if err != nil {
		return err
	}
	as, err := postgres.LookupAccount(nil, user)
	if err != nil { // no postgres will run on this machine: the files stay root's
		as = postgres.Account{}
	}
	if err := fillDir(dir, as, send); err != nil {
		return err
	}
	return durable.SyncFS(dir) // one call instead of one for each of a database's thousands of files
}

// fillDir is exportDir without the sync, for data that a crash may take: copies. The directory is opened once: whoever
// can write the one that it is in may put another in its place meanwhile.
func fillDir(dir string, as postgres.Account, send func(io.Writer) error) (err error) {
	existed := isDir(dir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	names, err := namesIn(root)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		return api.Errorf(api.ErrNotAllowed, "export: %s is not empty", dir)
	}
	err = receiveInto(root, send)
	if err == nil {
		err = as.OwnRoot(root)
	}
	if err != nil {
		err = errors.Join(err, removeContent(root))
	}
	if err != nil && !existed {
		err = errors.Join(err, os.Remove(dir))
	}
	return err
}

// receiveInto unpacks the archive that send sends.
func receiveInto(root *os.Root, send func(io.Writer) error) error {
	pr, pw := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := send(pw)
		pw.CloseWithError(err)
		sent <- err
	}()
	unpackErr := unpack(root, pr)
	if unpackErr == nil { // read the zeros behind the archive's end, or send would wait for ever
		_, unpackErr = io.Copy(io.Discard, pr)
	}
	pr.CloseWithError(unpackErr)
	err := <-sent
	if err == nil || unpackErr != nil && errors.Is(err, unpackErr) {
		err = unpackErr
	}
	return err
}

// namesIn lists what is in a directory.
func namesIn(root *os.Root) ([]string, error) {
	dir, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	names, err := dir.Readdirnames(-1)
	return names, errors.Join(err, dir.Close())
}

// removeContent removes what a failed export has put into a directory, which was empty.
func removeContent(root *os.Root) error {
	names, err := namesIn(root)
	for _, name := range names {
		err = errors.Join(err, root.RemoveAll(name))
	}
	return err
}

// unpack writes a tar archive's files and directories below root. os.Root makes sure that no name in the
// archive leads out of it.
func unpack(root *os.Root, r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read tar: %w", err)
		}
		if err := unpackEntry(root, h, tr); err != nil {
			return fmt.Errorf("unpack %s: %w", h.Name, err)
		}
	}
}

func unpackEntry(root *os.Root, h *tar.Header, r io.Reader) error {
	name := filepath.Clean(h.Name)
	mode := os.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		if name != "." {
			if err := root.MkdirAll(name, mode); err != nil {
				return err
			}
		}
		if err := root.Chmod(name, mode); err != nil {
			return err
		}
	case tar.TypeReg:
		if err := unpackFile(root, name, mode, r); err != nil {
			return err
		}
	default:
		return fmt.Errorf("is of type %q", h.Typeflag)
	}
	if os.Geteuid() == 0 { // postgres refuses to run as root: the files belong to the account that it runs as
		return root.Lchown(name, h.Uid, h.Gid)
	}
	return nil
}

func unpackFile(root *os.Root, name string, mode os.FileMode, r io.Reader) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, r)
	return errors.Join(err, f.Close())
}
