package main

import (
	"fmt"
	"time"

	"zenith/internal/api"
	"zenith/tenants"
)

// retainConfig says how much history is kept: a point is forgotten when it is older than
// time and more than bytes of WAL behind the branch's head.
type retainConfig struct {
	Time  age      `toml:"time,omitempty"`
	Bytes byteSize `toml:"bytes,omitempty"`

	Deleted age `toml:"deleted,omitempty"` // a deleted branch can be brought back for so long
}

// retentionConfig is [retention] of pageserver.toml.
type retentionConfig struct {
	retainConfig
	Interval age `toml:"interval,omitempty"` // how often the page server looks for history to forget
}

// tenantConfig is [tenants.ID] of pageserver.toml. What is not set there is as it is for all tenants.
type tenantConfig struct {
	Retention retainConfig `toml:"retention,omitempty"`
}

// age is a duration, which may be in days.
type age string

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *age) UnmarshalText(text []byte) error {
	*a = age(text)
	if a.duration() < time.Second {
		return fmt.Errorf("%q: want a duration such as 7d or 36h, a second or more", text)
	}
	return nil
}

// duration gives the time, 0 if it is not set.
func (a age) duration() time.Duration {
	d, ok := api.ParseAge(string(a))
	if !ok {
		return 0
	}
	return d
}

// over gives r, with the values replaced that are set in c.
func (c retainConfig) over(r tenants.Retention) tenants.Retention {
	if c.Time != "" {
		r.Time = c.Time.duration()
	}
	if c.Bytes != "" {
		r.Bytes = c.Bytes.bytes()
	}
	if c.Deleted != "" {
		r.Deleted = c.Deleted.duration()
	}
	return r
}

// tenantRetention gives, by tenant id, how much history is kept of the tenants that have settings of their
// own.
func (c *serverConfig) tenantRetention() map[string]tenants.Retention {
	all := make(map[string]tenants.Retention)
	for id, t := range c.Tenants {
		all[id] = t.Retention.over(c.Retention.over(tenants.DefaultRetention))
	}
	return all
}

// checkTenants checks that the tables below [tenants] are named by tenant ids.
func (c *serverConfig) checkTenants(path string) error {
	for id := range c.Tenants {
		if err := new(tenantID).UnmarshalText([]byte(id)); err != nil {
			return blameLine(path, fmt.Errorf("tenants: %w", err), "tenants", id)
		}
	}
	return nil
}
