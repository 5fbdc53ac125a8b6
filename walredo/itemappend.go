package walredo

import (
	"encoding/binary"

	"zenith/internal/pg"
)

// itemAppender fills a page that was just initialised: PageAddItem behind the last item,
// for hundreds of them. done stores the header's pointers.
type itemAppender struct {
	page         pg.Page
	lower, upper int
}

func appendItems(page pg.Page) itemAppender {
	return itemAppender{page: page, lower: int(page.Lower()), upper: int(page.Upper())}
}

func (a *itemAppender) add(item []byte) error {
	upper := a.upper - pg.MaxAlign(len(item))
	if a.lower+pg.ItemIDSize > upper {
		return corrupt("item of %d bytes does not fit between %d and %d", len(item), a.lower, a.upper)
	}
	binary.LittleEndian.PutUint32(a.page[a.lower:], uint32(pg.MakeItemID(upper, pg.LPNormal, len(item))))
	copy(a.page[upper:], item)
	a.lower += pg.ItemIDSize
	a.upper = upper
	return nil
}

func (a *itemAppender) done() {
	a.page.SetLower(uint16(a.lower))
	a.page.SetUpper(uint16(a.upper))
}
