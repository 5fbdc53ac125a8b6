package main

import (
	"zenith/internal/egress"
	"zenith/tenants"
)

// egressConfig is the table [egress] of pageserver.toml: where the page server connects on behalf of callers who
// are not its owner. A list that is not there is the default one, which is not the same as an empty list.
type egressConfig struct {
	Receive []egressEntry `toml:"receive,omitempty"`
	Push    []egressEntry `toml:"push,omitempty"`
}

// egressEntry is an address, a network, a name or *.DOMAIN.
type egressEntry string

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *egressEntry) UnmarshalText(text []byte) error {
	*e = egressEntry(text)
	_, err := egress.Parse([]string{string(text)})
	return err
}

// lists gives the lists of addresses that the table means.
func (c egressConfig) lists() tenants.Egress {
	return tenants.Egress{Receive: egressList(c.Receive), Push: egressList(c.Push)}
}

func egressList(entries []egressEntry) egress.List {
	if entries == nil {
		return egress.List{}
	}
	var texts []string
	for _, e := range entries {
		texts = append(texts, string(e))
	}
	l, err := egress.Parse(texts)
	if err != nil {
		panic(err) // each entry was parsed when the file was read
	}
	return l
}
