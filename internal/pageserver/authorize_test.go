package pageserver

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/chunkreader/v2"
	"github.com/jackc/pgproto3/v2"

	"zenith/internal/access"
	"zenith/internal/api"
)

const (
	ownID   = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	otherID = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" // exists
	noID    = "cccccccccccccccccccccccccccccccc" // does not
	thirdID = "dddddddddddddddddddddddddddddddd" // exists; clients of two tenants have this one, too
)

// wantRoles says once more, for the test, which role each verb and replication command takes. What changes here
// changes what tokens that are in use may do.
var wantRoles = map[access.Role]string{
	access.Guest: "help set show reset discard begin start commit end rollback pg_exec_end",
	access.Reader: "status pg_distribs identify_system tenant_list branch_list branch_deleted lsn mount_list mount_tree pg_list log wal_dump page_dump check " +
		"branch_details tag_list du gc_plan receive_list wal_sum basebackup fullbackup export pagestream " +
		"IDENTIFY_SYSTEM SHOW TIMELINE_HISTORY START_REPLICATION BASE_BACKUP CREATE_REPLICATION_SLOT READ_REPLICATION_SLOT UPLOAD_MANIFEST",
	access.Writer: "branch_create branch_expire branch_reset tag_create pg_create pg_start pg_stop pg_reload pg_restart pg_exec lease callmemaybe receive_set receive_stop push_offer push_receive mount DROP_REPLICATION_SLOT",
	access.Admin:  "user_create user_passwd user_drop user_list token_create token_revoke token_list tenant_create branch_delete branch_undelete branch_protect branch_rename branch_restore branch_promote tag_delete repair gc do_gc push umount",
	access.Owner:  "branch_upgrade",
}

// aboutAll are the verbs that name no tenant and are not about each client's own either: they take the role for
// all tenants.
const aboutAll = "mount_tree umount user_create user_passwd user_drop user_list"

// localOnly are the verbs for accounts of the machine.
const localOnly = "mount mount_tree umount"

// replicationQueries has a call of each replication command.
var replicationQueries = map[string]string{
	"IDENTIFY_SYSTEM": "IDENTIFY_SYSTEM", "SHOW": "SHOW server_version", "TIMELINE_HISTORY": "TIMELINE_HISTORY 2",
	"START_REPLICATION": "START_REPLICATION PHYSICAL 0/1000000", "BASE_BACKUP": "BASE_BACKUP", "UPLOAD_MANIFEST": "UPLOAD_MANIFEST",
	"CREATE_REPLICATION_SLOT": "CREATE_REPLICATION_SLOT s TEMPORARY PHYSICAL", "DROP_REPLICATION_SLOT": "DROP_REPLICATION_SLOT s",
	"READ_REPLICATION_SLOT": "READ_REPLICATION_SLOT s",
}

// reached is what a command of this test that was let through fails with: nothing is behind it.
type nothing struct{ api.Service }

func (nothing) TenantList(context.Context) ([]string, error) {
	return []string{ownID, otherID, thirdID}, nil
}

func (nothing) Replicate(_ context.Context, tenant, _ string) (api.ReplicationSource, error) {
	return nil, api.Errorf(api.ErrUnsupported, "reached %s", tenant)
}

// asking is a connection of a client that was let in already.
type asking struct {
	t *testing.T
	net.Conn
	fe    *pgproto3.Frontend
	leave func() // ends the connection, and waits until the server is done with it
}

func ask(t *testing.T, policy *access.Policy, who access.Principal, tenant string, replication bool) *asking {
	t.Helper()
	return askOf(t, New(nothing{}, Options{Replication: nothing{}, Access: policy}), who, tenant, replication)
}

// askOf is ask, of a server.
func askOf(t *testing.T, server *Server, who access.Principal, tenant string, replication bool) *asking {
	t.Helper()
	here, there := net.Pipe()
	c := newConn(server, there, 1)
	c.who, c.tenant, c.branch, c.replication = who, tenant, "main", replication
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer c.dropTemporary()
		c.loop()
	}()
	leave := func() {
		here.Close()
		<-done
	}
	t.Cleanup(leave)
	here.SetDeadline(time.Now().Add(2 * time.Minute))
	return &asking{t, here, pgproto3.NewFrontend(chunkreader.New(here), here), leave}
}

// query gives the SQLSTATE and the message of the answer to a query, both "" if it is no error.
func (a *asking) query(q string) (state, message string) {
	a.t.Helper()
	if err := a.fe.Send(&pgproto3.Query{String: q}); err != nil {
		a.t.Fatal(err)
	}
	for {
		msg, err := a.fe.Receive()
		if err != nil {
			a.t.Fatalf("%s: %v", q, err)
		}
		switch msg := msg.(type) {
		case *pgproto3.ErrorResponse:
			state, message = msg.Code, msg.Message
		case *pgproto3.CopyInResponse: // the copy fails from the far side: nothing is behind it
		case *pgproto3.ReadyForQuery:
			return state, message
		}
	}
}

// words makes a call of a verb about a tenant.
func words(v *verb, tenant string) string {
	sample := map[string]string{
		tenantArg: tenant, tenantsArg: tenant, "DIR": "/d", "LSN": "0/1", "FROM": "0/1", "TO": "0/2", "BLOCK": "0", "OFFER": "{}", "POINT": "main", "NAME": "x",
		"BRANCH": "main", "NEW_NAME": "y", "TAG": "x", "WHEN": "1h", "TIMELINE": ownID, "CONNINFO": "h:1", "ROLE": "reader", "USER": "x", "TOKEN_ID": "x", "VERIFIER": "x", "PATH": "base/1", "ALL": "ALL", "TRANSACTION": "TRANSACTION", "NAME = VALUE": "a = b",
	}
	list := []string{v.name}
	for _, f := range v.args.fields {
		if f.optional && f.name != tenantArg {
			break
		}
		word := sample[f.name]
		if word != "a = b" {
			word = quoteWord(word)
		}
		list = append(list, word)
	}
	return strings.Join(list, " ")
}

func has(list, name string) bool { return strings.Contains(" "+list+" ", " "+name+" ") }

// principals are clients of every role, for one tenant and for all, over TCP and through the socket; and the policy by
// which they are let in.
func principals(t *testing.T) (policy *access.Policy, list []access.Principal) {
	t.Helper()
	store := access.OpenStore(filepath.Join(t.TempDir(), "users"), slog.New(slog.DiscardHandler))
	policy = &access.Policy{OwnerUID: 999, Method: access.Scram, Store: store, Accounts: map[int]access.Account{}}
	v, err := access.NewVerifier("x")
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range []access.Role{access.Reader, access.Writer, access.Admin} {
		for _, tenants := range []access.Tenants{"", ownID, ownID + "," + thirdID} {
			grant, uid := access.Grant{Role: role, Tenants: tenants}, 1000+len(list)
			name := fmt.Sprintf("u%d", uid)
			if err := store.CreateUser(name, grant, v); err != nil {
				t.Fatal(err)
			}
			policy.Accounts[uid] = access.Account{Name: name, Grant: grant}
			user, _ := store.ByName(name)
			account, _ := policy.ByAccount(uid)
			list = append(list, user, account)
		}
	}
	owner, _ := policy.ByAccount(999)
	return policy, append(list, owner)
}

// TestEveryVerbAndRole walks the whole surface as each client: what it may not do is refused before anything is
// looked up, and a tenant of which it may do nothing does not exist for it.
func TestEveryVerbAndRole(t *testing.T) {
	walked := map[string]bool{}
	policy, all := principals(t)
	for _, who := range all {
		t.Run(fmt.Sprintf("%v uid %d", who.Grant, who.UID), func(t *testing.T) {
			plain, replicating := ask(t, policy, who, "", false), map[string]*asking{}
			for _, id := range []string{"", ownID, otherID, noID, thirdID} {
				replicating[id] = ask(t, policy, who, id, true)
			}
			for role, names := range wantRoles {
				for name := range strings.FieldsSeq(names) {
					walked[name] = true
					for _, tenant := range []string{"", ownID, otherID, noID, thirdID} {
						on, query := plain, ""
						v, isVerb := verbs[name]
						if isVerb {
							query = words(v, tenant)
						} else {
							on, query = replicating[tenant], replicationQueries[name]
						}
						state, message := on.query(query)
						want := expect(who, role, name, tenant, v)
						got := "reached"
						switch {
						case state == "42501":
							got = "denied"
						case message == "tenant "+tenant+": no such tenant":
							got = "no such tenant"
						}
						if got != want {
							t.Errorf("%s (%s) of %q: %s (%s %s), want %s", name, query, tenant, got, state, message, want)
						}
					}
				}
			}
		})
	}
	for name := range verbs {
		if !walked[name] {
			t.Errorf("the test knows no role for verb %s", name)
		}
	}
	for _, rc := range replCommands {
		if !walked[rc.name] {
			t.Errorf("the test knows no role for %s", rc.name)
		}
	}
}

// expect says what is to become of a call, independently of the table of verbs.
func expect(who access.Principal, role access.Role, name, tenant string, v *verb) string {
	named := v == nil
	if v != nil {
		_, named = v.tenants([]string{tenant})
	}
	mine := who.Tenants.Has(tenant)
	switch {
	case v == nil && tenant == "": // the client's own tenant, if it is the only one
		mine, named = who.Tenants == "" || who.Tenants.Only() != "", true
	case !named:
		mine = who.Tenants == "" || !has(aboutAll, name)
	}
	switch {
	case role == access.Guest:
		return "reached"
	case named && !mine && tenant != "":
		return "no such tenant"
	case !mine, who.Role < role:
		return "denied"
	case name == "push_receive" && tenant == noID && who.Role < access.Admin, name == "token_create" && tenant == noID:
		return "no such tenant"
	case has(localOnly, name) && who.UID == api.NoUID:
		return "denied"
	}
	return "reached"
}

// TestRaisedRoles: some arguments take a higher role than the verb.
func TestRaisedRoles(t *testing.T) {
	for call, want := range map[string]access.Role{
		"pg_start T main": access.Writer,
		"pg_start T main port=1 work_mem=1MB -work_mem": access.Writer,
		"pg_start T main enable_seqscan=off":            access.Writer,
		"pg_start T main archive_command=id":            access.Admin,
		"pg_start T main -archive_command":              access.Admin,
		"pg_start T main -Enable_SeqScan -port":         access.Writer,
		"pg_start T main enable_x.y=1":                  access.Admin,
		"pg_exec T main Shared_Preload_Libraries=x":     access.Admin,
		"pg_create T main +archive":                     access.Admin,
		"pg_start T main +original":                     access.Admin,
		"mount T main@0/1 /d":                           access.Reader,
		"mount T main /d":                               access.Writer,
		"mount T main@0/1 /d scratch":                   access.Writer,
		"gc T main":                                     access.Admin,
	} {
		list := strings.Fields(call)
		if got := verbs[list[0]].least(list[1:]); got != want {
			t.Errorf("%s: %v, want %v", call, got, want)
		}
	}
}

// TestPermanentSlots: a reader has temporary slots of its own and touches no others.
func TestPermanentSlots(t *testing.T) {
	policy, all := principals(t)
	for _, who := range all {
		role := who.Role
		a := ask(t, policy, who, ownID, true)
		for _, query := range []string{"CREATE_REPLICATION_SLOT s PHYSICAL", "START_REPLICATION SLOT s PHYSICAL 0/1000000", "DROP_REPLICATION_SLOT s"} {
			state, message := a.query(query)
			if denied := state == "42501"; denied != (role == access.Reader) {
				t.Errorf("%s as %v: %s %s", query, role, state, message)
			}
		}
	}
}

// TestGrantsOfSeveralTenants: who makes a token for several tenants is an admin of each; and sees and revokes those
// tokens that are for its own tenants alone.
func TestGrantsOfSeveralTenants(t *testing.T) {
	policy, all := principals(t)
	three := access.Tenants(ownID + "," + otherID + "," + thirdID)
	made, _, err := policy.Store.CreateToken(access.Grant{Role: access.Reader, Tenants: three}, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range all {
		a := ask(t, policy, who, "", false)
		for tenants, within := range map[access.Tenants]bool{
			ownID: who.Tenants.Has(ownID), ownID + "," + thirdID: who.Tenants.Has(thirdID), three: who.Tenants == "", "all": who.Tenants == "",
			ownID + "," + noID: false, ownID + ",": who.Tenants.Has(ownID),
		} {
			state, message := a.query("token_create " + quoteWord(string(tenants)) + " reader")
			if ok := who.Role >= access.Admin && within; ok != (state == "") {
				t.Errorf("%v makes a token for %v: %s %s", who.Grant, tenants, state, message)
			}
		}
		if who.Tenants == "" {
			continue
		}
		if state, _ := a.query("token_revoke " + made.ID); state != "42704" && state != "42501" {
			t.Errorf("%v revokes a token for more than its tenants: %s", who.Grant, state)
		}
		for _, seen := range policy.Store.Tokens((&conn{who: who}).mayGrant) {
			if seen.ID == made.ID {
				t.Errorf("%v sees a token for more than its tenants", who.Grant)
			}
		}
	}
}
