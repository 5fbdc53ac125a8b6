package api

import "fmt"

// ScaleSize gives a number of bytes in the largest unit of which there is one.
func ScaleSize(n int64) (value float64, unit string) {
	value, unit = float64(n), "B"
	for _, larger := range []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if value < 1<<10 {
			break
		}
		value, unit = value/(1<<10), larger
	}
	return value, unit
}

// SizeText writes a number of bytes as people read it, in the largest unit of which there is one: 19.4 MiB.
func SizeText(n int64) string {
	value, unit := ScaleSize(n)
	if unit == "B" {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
