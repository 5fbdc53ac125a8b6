package pg

import "errors"

// ErrCorrupt is returned when the bytes of a page, a control file or another
// structure of a data directory break the rules of their format.
var ErrCorrupt = errors.New("corrupt data")
