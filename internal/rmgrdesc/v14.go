package rmgrdesc

import "zenith/internal/xlog"

// rmgrs14 is PostgreSQL 14.
var rmgrs14 = rmgrs15.with(rmgrs{
	xlog.RmDbase: {
		xlog.DbaseCreateFileCopy >> 4: dbaseCreateFileCopy,
		xlog.DbaseDrop14 >> 4:         dbaseDrop,
	},
})
