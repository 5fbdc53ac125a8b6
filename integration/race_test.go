//go:build race

package integration

// raceDetector makes TestMain build zenith with the race detector, too.
const raceDetector = true
