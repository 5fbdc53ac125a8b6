package tenants

import (
	"errors"
	"fmt"
	"syscall"

	"zenith/internal/api"
	"zenith/repo"
	"zenith/walredo"
)

// repoKinds pairs the repository's errors with the kinds that a client can tell apart.
var repoKinds = []struct{ is, kind error }{
	{repo.ErrNotFound, api.ErrNotFound},
	{repo.ErrExists, api.ErrExists},
	{repo.ErrOutOfRange, api.ErrOutOfRange},
	{repo.ErrBusy, api.ErrBusy},
	{repo.ErrInvalid, api.ErrBadArgument},
	{repo.ErrUnsupported, api.ErrUnsupported},
	{repo.ErrCorrupt, api.ErrCorrupt},
	{repo.ErrClosed, api.ErrUnavailable},
	{syscall.ENOSPC, api.ErrNoSpace},
}

// classify gives a repository's error the kind that clients can tell apart, and keeps its text. Other errors
// stay as they are.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var known *api.Error
	if errors.As(err, &known) {
		return err
	}
	if errors.Is(err, walredo.ErrUnsupported) {
		err = fmt.Errorf("%w; a mount, a pg start or an export of that point has such pages made, where the extension's library is", err)
	}
	for _, k := range repoKinds {
		if errors.Is(err, k.is) {
			return &api.Error{Kind: k.kind, Msg: err.Error()}
		}
	}
	return err
}
