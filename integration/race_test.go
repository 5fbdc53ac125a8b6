//go:build race

package integration

// raceDetector makes TestMain build zenith with the race detector, as these tests are.
const raceDetector = true
