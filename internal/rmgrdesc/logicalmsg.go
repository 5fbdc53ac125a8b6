package rmgrdesc

import "zenith/internal/xlog"

// logicalMsgDescs are logicalmsg_desc.
var logicalMsgDescs = descs{0x0: logicalMessage}

func logicalMessage(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseLogicalMessage(rec)
	return w.text(err, "%s, prefix \"%s\"; payload (%d bytes): % X",
		pick(x.Transactional, "transactional", "non-transactional"), x.Prefix, len(x.Message), x.Message)
}
