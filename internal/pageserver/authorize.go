package pageserver

import (
	"slices"
	"strings"

	"zenith/internal/access"
	"zenith/internal/api"
)

// The names of the arguments that say which tenant, or which several, a verb is about. Where a verb has one of them, it is
// the first.
const (
	tenantArg  = "TENANT"
	tenantsArg = "TENANTS"
)

// tenants gives the tenants that a call of the verb names; "" among them stands for all. Without any, the call is
// about all tenants or none, or, if named is true, about the one that the connection stands for.
func (v *verb) tenants(words []string) (ids []string, named bool) {
	name := ""
	if v.args != nil && len(v.args.fields) > 0 {
		name = v.args.fields[0].name
	}
	switch {
	case name != tenantArg && name != tenantsArg:
		return nil, false
	case len(words) == 0:
		return nil, true
	case name == tenantArg:
		return words[:1], true
	}
	several, err := access.ParseTenants(words[0])
	if err != nil {
		return words[:1], true // it is nobody's tenant
	}
	if several == "" {
		return []string{""}, true
	}
	return several.IDs(), true
}

// least gives the least role that may call the verb with these words.
func (v *verb) least(words []string) access.Role {
	if v.raise == nil {
		return v.role
	}
	return max(v.role, v.raise(words))
}

// authorize refuses a verb that the client may not do. A tenant of which the client may do nothing at all is
// refused in the words for one that does not exist, before anybody looks whether it does.
func (c *conn) authorize(v *verb, words []string) error {
	role := v.least(words)
	if role == access.Guest {
		return nil
	}
	tenants, named := v.tenants(words)
	switch {
	case named && len(words) == 0: // it was left out
		tenants = []string{c.ownTenant()}
	case !named:
		tenants = []string{""}
	}
	for _, tenant := range tenants {
		if err := c.allow(v.name, role, tenant, v.each); err != nil {
			return err
		}
	}
	if v.local && c.who.UID == api.NoUID {
		return api.Errorf(api.ErrNotAllowed, "%s: only for accounts of the page server's machine, through the unix socket in its work directory", v.name)
	}
	return nil
}

// allow refuses what needs a role for a tenant, "" for all of them; or, with each, for any one.
func (c *conn) allow(what string, role access.Role, tenant string, each bool) error {
	has := c.who.On(tenant)
	if each {
		has = c.who.Role
	}
	switch {
	case has >= role && role != access.None:
		return nil
	case has == access.None && tenant != "" && c.who.Role != access.None:
		return errNoTenant(tenant)
	}
	return api.Errorf(api.ErrNotAllowed, "%s: permission denied: it needs the role %v%s", what, role, forWhich(tenant, each))
}

func forWhich(tenant string, each bool) string {
	if tenant == "" && !each {
		return " for all tenants"
	}
	return ""
}

// errNoTenant is the Service's error for a tenant that does not exist.
func errNoTenant(id string) error {
	return api.Errorf(api.ErrNotFound, "tenant %s: no such tenant", id)
}

// ownTenant gives the tenant that a command means that names none: that of the connection's dbname, else the
// only one of the client; "": the Service's default.
func (c *conn) ownTenant() string {
	if c.tenant != "" {
		return c.tenant
	}
	return c.who.Tenants.Only()
}

// mayRead reports whether the client may read anything of a tenant; "" stands for all of them.
func (c *conn) mayRead(tenant string) bool { return c.who.On(tenant) >= access.Reader }

// raiseMount is for the words of mount: a reader mounts what does not move, read-only, and nothing else.
func raiseMount(words []string) access.Role {
	if len(words) < 2 {
		return access.Writer
	}
	if _, _, state := api.SplitPoint(words[1]); state && len(words) < 4 {
		return access.Reader
	}
	return access.Writer
}

// tame are settings of postgres with which a writer may start one: they cost memory and time, and name no file,
// program, library or other server. Any other setting takes an admin.
var tame = []string{
	"application_name", "autovacuum", "checkpoint_timeout", "client_min_messages", "constraint_exclusion", "cursor_tuple_fraction",
	"datestyle", "deadlock_timeout", "default_statistics_target", "default_transaction_isolation", "effective_cache_size", "effective_io_concurrency",
	"full_page_writes", "geqo", "hash_mem_multiplier", "idle_in_transaction_session_timeout", "idle_session_timeout", "intervalstyle",
	"jit", "lock_timeout", "log_min_duration_statement", "log_statement", "logical_decoding_work_mem",
	"maintenance_work_mem", "max_connections", "max_locks_per_transaction", "max_parallel_maintenance_workers", "max_parallel_workers",
	"max_parallel_workers_per_gather", "max_prepared_transactions", "max_wal_senders", "max_wal_size", "max_worker_processes",
	"min_wal_size", "parallel_setup_cost", "parallel_tuple_cost", "plan_cache_mode", "random_page_cost", "seq_page_cost", "shared_buffers",
	"statement_timeout", "synchronous_commit", "temp_buffers", "timezone", "wal_buffers", "wal_compression", "wal_level", "work_mem",
}

// isTame reports whether a writer may set, and unset, a setting.
func isTame(name string) bool {
	return slices.Contains(tame, name) || strings.HasPrefix(name, "enable_") && !strings.ContainsFunc(name, notOfName)
}

// notOfName reports whether no setting of postgres itself has a letter in its name.
func notOfName(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }

// raiseSettings is for the words of what starts a postgres: settings that may run programs, and channels to other
// servers, take an admin.
func raiseSettings(words []string) access.Role {
	for _, w := range words[min(2, len(words)):] {
		name, _, set := strings.Cut(w, "=")
		name = strings.ToLower(name)
		switch {
		case strings.HasPrefix(w, "+"):
			return access.Admin
		case strings.HasPrefix(w, "-"): // back to the default of what an admin may have set
			set, name = true, name[1:]
		}
		if set && name != "port" && !isTame(name) {
			return access.Admin
		}
	}
	return access.Writer
}
