package privileged

// CleanStale implements Helper.
func (p *InProcess) CleanStale(dir string) (bool, error) {
	dir, err := RealPath(dir)
	if err != nil {
		return false, err
	}
	cleaned := false
	for {
		mounts, err := mountsAt(dir)
		if err != nil {
			return cleaned, err
		}
		// The last one hides the others: they can be unmounted only after it.
		if len(mounts) == 0 || !mounts[len(mounts)-1].dead() {
			return cleaned, nil
		}
		at, err := openPlace(dir)
		if err != nil {
			return cleaned, err
		}
		if err := at.unmount(mounts[len(mounts)-1].id, true); err != nil {
			return cleaned, err
		}
		cleaned = true
	}
}
