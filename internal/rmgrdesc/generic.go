package rmgrdesc

import "zenith/internal/xlog"

// genericDescs are generic_desc: there is one operation, whatever info says.
var genericDescs = descs{0x0: genericRegions}

// genericRegions prints the main data as a list of byte ranges.
func genericRegions(w *writer, rec *xlog.Record) error {
	for rest := rec.MainData; len(rest) > 0; {
		s, err := view(rest, "region", 4)
		if err != nil {
			return err
		}
		length := int(s.u16(2))
		w.printf("offset %d, length %d", s.u16(0), length)
		rest = rest[min(4+length, len(rest)):]
		if len(rest) > 0 {
			w.WriteString("; ")
		}
	}
	return nil
}
