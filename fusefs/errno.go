package fusefs

import (
	"errors"
	"io/fs"
	"log/slog"
	"syscall"
)

// errnos has the error numbers that processes get; the first row that matches counts.
var errnos = []struct {
	err   error
	errno syscall.Errno
}{
	{ErrNotAllowed, syscall.EPERM},
	{errTooLarge, syscall.EFBIG},
	{errLookAgain, syscall.ESTALE},
	{syscall.ENOSPC, syscall.ENOSPC},
	{syscall.EDQUOT, syscall.EDQUOT},
	{syscall.EFBIG, syscall.EFBIG},
	{syscall.EMFILE, syscall.ENFILE},
	{syscall.ENFILE, syscall.ENFILE},
	{syscall.ENOMEM, syscall.ENOMEM},
	{syscall.EEXIST, syscall.EEXIST},
	{syscall.ENOTEMPTY, syscall.ENOTEMPTY},
	{syscall.EINVAL, syscall.EINVAL},
	{fs.ErrNotExist, syscall.ENOENT},
}

// errno gives the error number that a process gets for an error. An error without a number of its
// own is EIO, and since that tells nobody its cause, it is logged; so is a refusal.
func errno(log *slog.Logger, op, path string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			if e.errno == syscall.EPERM {
				log.Warn("refused", "op", op, "path", path, "err", err)
			}
			return e.errno
		}
	}
	log.Error("i/o error", "op", op, "path", path, "err", err)
	return syscall.EIO
}
