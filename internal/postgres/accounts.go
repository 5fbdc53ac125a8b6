package postgres

import (
	"bufio"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"zenith/internal/api"
	"zenith/internal/privileged"
	"zenith/internal/sidefile"
)

// AccountRange is a range of user ids of this machine, of which each tenant's servers get one of their own: a
// superuser of one tenant's SQL can run programs, and these reach nothing that is another tenant's. The ids need
// no names: PostgreSQL's server looks none up. A group of the same id goes with each.
//
// The zero AccountRange is the default one. It lies between the ids that Linux distributions give to people, to
// services and to systemd's DynamicUser (all below 65536), and those that they give to containers of people
// (subuid: from 100000 on).
type AccountRange struct{ First, Count int }

const (
	defaultFirst = 70000
	defaultCount = 20000
	lowestFirst  = 1000 // what is below belongs to the system
)

// Check makes sure that the range is one: ErrBadArgument.
func (r AccountRange) Check() error {
	if r = r.orDefault(); r.First < lowestFirst || r.Count < 1 || r.First+r.Count > 1<<31 {
		return api.Errorf(api.ErrBadArgument, "accounts: %d user ids from %d on: want some, from %d on", r.Count, r.First, lowestFirst)
	}
	return nil
}

func (r AccountRange) orDefault() AccountRange {
	if r.First == 0 {
		r.First = defaultFirst
	}
	if r.Count == 0 {
		r.Count = defaultCount
	}
	return r
}

// Usable reports whether a Helper, or this process if it is nil, can run others under the ids: it is root's, and
// the ids exist in this process's user namespace, which in a container often has no more than 65536.
func (r AccountRange) Usable(h privileged.Helper) bool {
	r = r.orDefault()
	return orInProcess(h).Root() && mapped("/proc/self/uid_map", r) && mapped("/proc/self/gid_map", r)
}

// mapped reports whether one line of a map of user_namespaces(7) has the whole range.
func mapped(path string, r AccountRange) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var inside, outside, count int64
		if n, _ := fmt.Sscan(lines.Text(), &inside, &outside, &count); n == 3 && inside <= int64(r.First) && int64(r.First+r.Count) <= inside+count {
			return true
		}
	}
	return false
}

// accountFile is <tenant>/.account.
type accountFile struct {
	UID int `json:"uid"`
}

// accountName is the name of the file that has a tenant's account.
const accountName = ".account"

var accountKind = sidefile.Kind[accountFile]{
	Lost: "the user id of a tenant's servers, which get another one", Perm: 0o600, Format: sidefile.JSON, Check: (*accountFile).check,
}

func (f *accountFile) check() error {
	if f.UID < lowestFirst {
		return errors.New("it names an account of the system")
	}
	return nil
}

// Of gives the account of the tenant whose directory is dir, and keeps it there. One that has none gets the
// first free one behind a place that follows from key: so tenants of different work directories, which
// know nothing of each other, hardly ever meet. The caller lets nobody else ask for another tenant meanwhile.
func (r AccountRange) Of(dir, key string, log *slog.Logger) (Account, error) {
	kept, err := accountKind.Read(filepath.Join(dir, accountName))
	if err == nil {
		return numbered(kept.UID), nil
	}
	if !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(*sidefile.Damage)) {
		return Account{}, err
	}
	r = r.orDefault()
	taken := takenBeside(dir)
	h := fnv.New32a()
	h.Write([]byte(key)) // never fails
	for n, at := 0, int(h.Sum32()%uint32(r.Count)); n < r.Count; n++ {
		uid := r.First + (at+n)%r.Count
		if _, err := user.LookupId(strconv.Itoa(uid)); err == nil || taken[uid] {
			continue
		}
		return numbered(uid), accountKind.Write(filepath.Join(dir, accountName), accountFile{UID: uid}, log)
	}
	return Account{}, api.Errorf(api.ErrUnsupported, "accounts: all %d user ids from %d on are taken", r.Count, r.First)
}

// takenBeside lists the user ids of the tenants whose directories are beside dir.
func takenBeside(dir string) map[int]bool {
	taken := map[int]bool{}
	files, _ := filepath.Glob(filepath.Join(filepath.Dir(dir), "*", accountName)) // fails for a bad pattern only
	for _, f := range files {
		if kept, err := accountKind.Read(f); err == nil {
			taken[kept.UID] = true
		}
	}
	return taken
}

// numbered is an account that is no more than a user id.
func numbered(uid int) Account {
	return Account{Name: strconv.Itoa(uid), UID: uid, GID: uid, other: true}
}

// IDs gives the range as what a privileged helper may use.
func (r AccountRange) IDs() privileged.IDRange {
	r = r.orDefault()
	return privileged.IDRange{First: r.First, Last: r.First + r.Count - 1}
}

// Any is an account that stands for all of the range where permissions for others are checked.
func (r AccountRange) Any() Account { return numbered(r.orDefault().First) }

// Enclose lets nobody but this process's account, and the account a, which may pass through, into a directory.
func (a Account) Enclose(dir string) error {
	if !a.other {
		return os.Chmod(dir, 0o700)
	}
	return orInProcess(a.helper).Own(filepath.Dir(dir), filepath.Base(dir), privileged.Ownership{UID: -1, GID: a.GID, Mode: 0o710})
}
