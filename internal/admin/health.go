package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/http/pprof"

	"zenith/internal/access"
)

// leastRoom is how many bytes must be free on the disk for the page server to be ready: with less a store refuses even
// small writes.
const leastRoom = 32 << 20

// healthz says that the process answers.
func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// readyz says whether the page server can do its work. What exactly is wrong is for clients that show who they are.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), statsTimeout)
	defer cancel()
	stats, err := s.opt.Source.Stats(ctx)
	switch {
	case err != nil:
		s.opt.Log.Warn("not ready", "err", err)
		http.Error(w, "the page server does not say what it does", http.StatusServiceUnavailable)
	case stats.Disk.Free < leastRoom:
		http.Error(w, "the disk is full", http.StatusServiceUnavailable)
	default:
		fmt.Fprintln(w, "ready")
	}
}

// routePprof adds the profiles. They tell of all tenants, and take time of the process.
func (s *Server) routePprof(mux *http.ServeMux) {
	for path, h := range map[string]http.HandlerFunc{
		"GET /debug/pprof/": pprof.Index, "GET /debug/pprof/profile": pprof.Profile, "GET /debug/pprof/trace": pprof.Trace,
		"GET /debug/pprof/symbol": pprof.Symbol,
	} {
		mux.Handle(path, s.authorized(access.Admin, func(w http.ResponseWriter, r *http.Request) {
			if whoOf(r).On("") < access.Admin {
				http.Error(w, "this takes the role admin for all tenants", http.StatusForbidden)
				return
			}
			h(w, r)
		}))
	}
}
