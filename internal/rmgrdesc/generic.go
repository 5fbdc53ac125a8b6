package rmgrdesc

import "zenith/internal/xlog"

// genericDescs are generic_desc: there is one operation, whatever info says.
var genericDescs = descs{0x0: genericRegions}

// genericRegions prints the main data as a list of byte ranges.
func genericRegions(w *writer, rec *xlog.Record) error {
	for rest := rec.MainData; len(rest) > 0; {
		r, next, err := xlog.CutGenericRegion(rest)
		if err != nil {
			return err
		}
		w.printf("offset %d, length %d", r.Offset, len(r.Bytes))
		if rest = next; len(rest) > 0 {
			w.WriteString("; ")
		}
	}
	return nil
}
