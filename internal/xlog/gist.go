package xlog

import "zenith/internal/pg"

// The bodies of Gist's records (access/gistxlog.h).

// GistPageUpdate is gistxlogPageUpdate.
type GistPageUpdate struct {
	NToDelete, NToInsert int
}

// ParseGistPageUpdate reads the body of a PAGE_UPDATE record.
func ParseGistPageUpdate(rec *Record) (GistPageUpdate, error) {
	s, err := structOf(rec.MainData, "gistxlogPageUpdate", 4)
	if err != nil {
		return GistPageUpdate{}, err
	}
	return GistPageUpdate{NToDelete: int(s.u16(0)), NToInsert: int(s.u16(2))}, nil
}

// GistDelete is gistxlogDelete.
type GistDelete struct {
	LatestRemovedXID pg.TransactionID
	CatalogRel       bool // isCatalogRel: in the versions that log it
	ToDelete         Offsets
}

// ParseGistDelete reads the body of a DELETE record.
func ParseGistDelete(rec *Record) (GistDelete, error) {
	header := 6
	if rec.V.ConflictCatalogRel {
		header = 8 // with the byte isCatalogRel and one of padding
	}
	s, err := structOf(rec.MainData, "gistxlogDelete", header)
	if err != nil {
		return GistDelete{}, err
	}
	x := GistDelete{LatestRemovedXID: s.xid(0), CatalogRel: rec.V.ConflictCatalogRel && s.flag(6)}
	x.ToDelete, err = wholeOffsets(s[header:], int(s.u16(4)))
	return x, err
}

// ParseGistPageReuse reads the body of a PAGE_REUSE record.
func ParseGistPageReuse(rec *Record) (ReusePage, error) {
	return parseReusePage(rec, "gistxlogPageReuse")
}

// GistPageSplit is gistxlogPageSplit.
type GistPageSplit struct {
	OrigRightLink   pg.BlockNumber
	OrigNSN         pg.LSN
	OrigLeaf        bool
	NPage           int // into which the page is split
	MarkFollowRight bool
}

// ParseGistPageSplit reads the body of a PAGE_SPLIT record.
func ParseGistPageSplit(rec *Record) (GistPageSplit, error) {
	s, err := structOf(rec.MainData, "gistxlogPageSplit", 21)
	if err != nil {
		return GistPageSplit{}, err
	}
	return GistPageSplit{
		OrigRightLink: s.block(0), OrigNSN: s.lsn(8), OrigLeaf: s.flag(16),
		NPage: int(s.u16(18)), MarkFollowRight: s.flag(20),
	}, nil
}

// GistPageDelete is gistxlogPageDelete.
type GistPageDelete struct {
	DeleteXID      pg.FullTransactionID
	DownlinkOffset pg.OffsetNumber
}

// ParseGistPageDelete reads the body of a PAGE_DELETE record.
func ParseGistPageDelete(rec *Record) (GistPageDelete, error) {
	s, err := structOf(rec.MainData, "gistxlogPageDelete", 10)
	if err != nil {
		return GistPageDelete{}, err
	}
	return GistPageDelete{DeleteXID: s.fullXID(0), DownlinkOffset: s.item(8)}, nil
}
