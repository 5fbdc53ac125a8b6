package xlog

// housekeeping are the operations of records that a server writes by itself, by resource manager: at its start
// and stop, at checkpoints, when it goes to another segment, and for hint bits that a query sets.
var housekeeping = map[RmgrID][]uint8{
	RmXLOG: {
		XLOGCheckpointShutdown, XLOGCheckpointOnline, XLOGNoop, XLOGSwitch, XLOGParameterChange, XLOGFPWChange, XLOGEndOfRecovery,
		XLOGFPIForHint, XLOGOverwriteContRecord, xlogCheckpointRedo,
	},
	RmStandby: {StandbyRunningXacts},
}

// xlogCheckpointRedo is XLOG_CHECKPOINT_REDO, since PostgreSQL 17.
const xlogCheckpointRedo = 0xE0

// IsHousekeeping reports whether a server may have written the record though nobody changed anything.
func (r *Record) IsHousekeeping() bool {
	for _, op := range housekeeping[r.RmgrID] {
		if r.Op() == op {
			return true
		}
	}
	return false
}
