package main

import "zenith/internal/postgres"

// accountsConfig is the table [accounts] of pageserver.toml: the user ids of which each tenant's servers get one.
type accountsConfig struct {
	First int `toml:"first,omitempty"`
	Count int `toml:"count,omitempty"`
}

func (c accountsConfig) accounts() postgres.AccountRange {
	return postgres.AccountRange{First: c.First, Count: c.Count}
}
