package fusefs

import (
	"errors"
	"io/fs"
	"syscall"

	"zenith/internal/pg"
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
	{pg.ErrUnsupported, syscall.EOPNOTSUPP},
}

// errno gives the error number that a process gets for an error. An error without a number of its
// own is EIO, and since that tells nobody its cause, it is logged and passed to Failed, as is a state that cannot be
// read; a refusal is logged.
func (o Options) errno(op, path string, err error) syscall.Errno {
	if err == nil {
		return 0
	}
	number := syscall.EIO
	for _, e := range errnos {
		if errors.Is(err, e.err) {
			number = e.errno
			break
		}
	}
	switch number {
	case syscall.EPERM:
		o.Log.Warn("refused", "op", op, "path", path, "err", err)
	case syscall.EIO, syscall.EOPNOTSUPP:
		o.Log.Error("i/o error", "op", op, "path", path, "err", err, "errno", number.Error())
		if o.Failed != nil {
			o.Failed(path, err)
		}
	}
	return number
}
