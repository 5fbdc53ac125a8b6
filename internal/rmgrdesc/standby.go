package rmgrdesc

import "zenith/internal/xlog"

// standbyDescs are standby_desc.
var standbyDescs = descs{
	xlog.StandbyLock >> 4:          standbyLock,
	xlog.StandbyRunningXacts >> 4:  runningXacts,
	xlog.StandbyInvalidations >> 4: standbyInvalidations,
}

func standbyLock(w *writer, rec *xlog.Record) error {
	locks, err := xlog.ParseStandbyLocks(rec)
	for i := range locks.Len() {
		l := locks.At(i)
		w.printf("xid %d db %d rel %d ", l.XID, l.DBOID, l.RelOID)
	}
	return err
}

func runningXacts(w *writer, rec *xlog.Record) error {
	_, err := topXacts(w, rec, "subxid ovf")
	return err
}

// topXacts prints a record of running transactions, less their subtransactions. overflow is what it says of a list that
// lacks some of these.
func topXacts(w *writer, rec *xlog.Record, overflow string) (xlog.RunningXacts, error) {
	x, err := xlog.ParseRunningXacts(rec)
	if err != nil {
		return x, err
	}
	w.printf("nextXid %d latestCompletedXid %d oldestRunningXid %d", x.NextXID, x.LatestCompleted, x.OldestRunning)
	if n := x.XIDs.Len(); n > 0 {
		w.printf("; %d xacts:", n)
		w.xids(x.XIDs)
	}
	if x.SubXIDOverflow {
		w.WriteString("; " + overflow)
	}
	return x, nil
}

// xids writes a list of transactions, each with a space before it.
func (w *writer) xids(list xlog.XIDs) {
	for xid := range list.All() {
		w.printf(" %d", xid)
	}
}

func standbyInvalidations(w *writer, rec *xlog.Record) error {
	x, err := xlog.ParseInvalidations(rec)
	if err != nil {
		return err
	}
	w.invalidations(x)
	return nil
}

// invalKinds are what is printed of an invalidation message, by its negative id.
var invalKinds = map[int8]func(w *writer, m xlog.InvalMessage){
	-1: func(w *writer, m xlog.InvalMessage) { w.printf(" catalog %d", m.Object) },
	-2: func(w *writer, m xlog.InvalMessage) { w.printf(" relcache %d", m.Object) },
	-3: func(w *writer, _ xlog.InvalMessage) { w.WriteString(" smgr") },
	-4: func(w *writer, m xlog.InvalMessage) { w.printf(" relmap db %d", m.DBOID) },
	-6: func(w *writer, m xlog.InvalMessage) { w.printf(" relsync %d", m.Object) },
	-5: func(w *writer, m xlog.InvalMessage) { w.printf(" snapshot %d", m.Object) },
}

// invalidations is standby_desc_invalidations, which records of transactions need too.
func (w *writer) invalidations(x xlog.Invalidations) {
	if x.Msgs.Len() == 0 {
		return
	}
	if x.RelcacheInitFileInval {
		w.printf("; relcache init file inval dbid %d tsid %d", x.DBOID, x.SpcOID)
	}
	w.WriteString("; inval msgs:")
	for i := range x.Msgs.Len() {
		m := x.Msgs.At(i)
		if m.ID >= 0 {
			w.printf(" catcache %d", m.ID)
		} else if print := invalKinds[m.ID]; print != nil {
			print(w, m)
		} else {
			w.printf(" unrecognized id %d", m.ID)
		}
	}
}
