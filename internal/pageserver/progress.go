package pageserver

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgproto3/v2"

	"zenith/internal/api"
)

// Progress goes to clients that asked for it (SET zenith.progress = on) as notices of this
// SQLSTATE, their message "DONE TOTAL WHAT".
const (
	progressState  = "01ZEN"
	progressPeriod = 200 * time.Millisecond
)

// noteState is the SQLSTATE of notices that are for the user to read: successful_completion.
const noteState = "00000"

// note sends the client a notice for its user.
func (c *conn) note(line string) error {
	return c.send(&pgproto3.NoticeResponse{Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: noteState, Message: line})
}

// notices gives a Progress that tells the client, a few times a second.
func (c *call) notices() api.Progress {
	if !c.progress {
		return func(string, int64, int64) {}
	}
	n := &noticer{c: c.conn}
	return n.tell
}

// noticer thins out progress.
type noticer struct {
	c *conn

	mu   sync.Mutex // guards last
	last time.Time
}

func (n *noticer) tell(what string, done, total int64) {
	if !n.due() && (done < total || total == 0) {
		return
	}
	n.c.wmu.Lock()
	defer n.c.wmu.Unlock()
	err := n.c.sendLocked(&pgproto3.NoticeResponse{
		Severity: "NOTICE", SeverityUnlocalized: "NOTICE", Code: progressState,
		Message: fmt.Sprintf("%d %d %s", done, total, what),
	})
	if err == nil {
		n.c.bw.Flush() // the writer keeps its error, and the reply meets it
	}
}

func (n *noticer) due() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if now.Sub(n.last) < progressPeriod {
		return false
	}
	n.last = now
	return true
}

// parseProgress reads a notice's message.
func parseProgress(msg string) (what string, done, total int64, ok bool) {
	parts := strings.SplitN(msg, " ", 3)
	if len(parts) != 3 {
		return "", 0, 0, false
	}
	done, errDone := strconv.ParseInt(parts[0], 10, 64)
	total, errTotal := strconv.ParseInt(parts[1], 10, 64)
	return parts[2], done, total, errDone == nil && errTotal == nil
}
