package tenants

import (
	"errors"
	"syscall"

	"zenith/internal/pageserver"
	"zenith/repo"
)

// repoKinds pairs the repository's errors with the kinds that a client can tell apart.
var repoKinds = []struct{ is, kind error }{
	{repo.ErrNotFound, pageserver.ErrNotFound},
	{repo.ErrExists, pageserver.ErrExists},
	{repo.ErrOutOfRange, pageserver.ErrOutOfRange},
	{repo.ErrBusy, pageserver.ErrBusy},
	{repo.ErrInvalid, pageserver.ErrBadArgument},
	{repo.ErrUnsupported, pageserver.ErrUnsupported},
	{repo.ErrCorrupt, pageserver.ErrCorrupt},
	{repo.ErrClosed, pageserver.ErrUnavailable},
	{syscall.ENOSPC, pageserver.ErrNoSpace},
}

// classify gives a repository's error the kind that it has for clients; the text
// stays as it is.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var known *pageserver.Error
	if errors.As(err, &known) {
		return err
	}
	for _, k := range repoKinds {
		if errors.Is(err, k.is) {
			return &pageserver.Error{Kind: k.kind, Msg: err.Error()}
		}
	}
	return err
}
