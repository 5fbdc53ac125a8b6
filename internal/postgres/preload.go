package postgres

// PreloadLibraries gives the shared_preload_libraries of a server on a data directory with these files, where
// user is what the user sets; "" for none.
func PreloadLibraries(files DataFiles, user map[string]string) (string, error) {
	const name = "shared_preload_libraries"
	if v, ok := user[name]; ok {
		return v, nil
	}
	configured, err := configValues(files)
	return configured[name], err
}
