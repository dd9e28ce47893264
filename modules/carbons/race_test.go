//go:build race

package carbons

const raceEnabled = true
