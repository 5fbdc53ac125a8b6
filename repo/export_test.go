package repo

// Kill stops everything without flushing, as a crash would.
func (r *Repository) Kill() {
	r.closeOnce.Do(func() {
		r.mem.leave(r)
		close(r.done)
		r.stopFlusher()
		r.dropQueue()
		<-r.flusherDone
		for _, t := range r.Timelines() {
			t.forget()
		}
	})
}
