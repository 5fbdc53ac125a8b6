package tenants

import (
	"archive/tar"
	"context"
	"io"

	"zenith/internal/api"
	"zenith/internal/postgres"
	"zenith/repo/datadir"
)

// Export writes the data directory of a point as an uncompressed tar stream. If it fails, the stream lacks
// the end mark, so that tar reports a stream that is not whole.
func (m *Manager) Export(ctx context.Context, tenant, at string, o api.ExportOptions, w io.Writer) error {
	t, release, err := m.tenant(ctx, tenant)
	if err != nil {
		return err
	}
	defer release()
	b, p, _, err := t.point(ctx, at)
	if err != nil {
		return err
	}
	unpin, err := b.pin(p.LSN)
	if err != nil {
		return err
	}
	defer unpin()
	view, err := b.readable(ctx, p.LSN, "")
	if err != nil {
		return err
	}
	h, err := postgres.HandOut(viewFiles{ctx, view}, o.Contained)
	if err != nil {
		return err
	}
	if note := h.Note(); note != "" && o.Note != nil {
		o.Note(note)
	}
	stream := tar.NewWriter(w)
	err = datadir.ExportTar(ctx, view, stream, datadir.ExportOptions{SkipRelations: o.SkipRelations, Files: h.Files, Progress: o.Progress})
	if err != nil {
		return classify(err)
	}
	return stream.Close()
}
