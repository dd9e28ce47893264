package storage

import "time"

// Trim is what archives are cut back to. Of each archive the oldest rows go, so
// that it has no holes. A row that its owner has not got yet leaves the archive and
// waits for delivery.
type Trim struct {
	Domain string    // whose accounts; "": all
	Before time.Time // older rows go; zero: no such bound
	Bytes  int64     // of XML, beyond which the oldest rows go; 0: no such bound
}
