package xlog

import "zenith/internal/pg"

// Seq is xl_seq_rec and the tuple behind it, which is all that a sequence's page holds.
type Seq struct {
	Rel   pg.RelFileLocator
	Tuple []byte
}

// ParseSeq reads the body of Sequence's one operation, LOG (commands/sequence.h).
func ParseSeq(rec *Record) (Seq, error) {
	const size = 12
	s, err := structOf(rec.MainData, "xl_seq_rec", size)
	if err != nil {
		return Seq{}, err
	}
	return Seq{Rel: s.rel(0), Tuple: s[size:]}, nil
}
