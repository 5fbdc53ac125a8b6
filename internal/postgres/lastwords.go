package postgres

import (
	"bytes"
	"io"
	"os"
	"slices"
	"strings"
)

// lastWords gives the server's own reason for its end, from the part of its log that it wrote.
func (p *Server) lastWords() string {
	log, err := os.Open(p.logPath)
	if err != nil {
		return "it said nothing"
	}
	defer log.Close()
	out, err := io.ReadAll(io.NewSectionReader(log, p.logFrom, maxLastWords))
	if err != nil || len(out) == 0 {
		return "it said nothing"
	}
	return reason(out)
}

// maxLastWords bounds how many bytes of a server's log are looked at.
const maxLastWords = 64 << 20

// toClients are beginnings of messages by which a server refuses a client that came too early or
// too late: they are no reason for the server's end.
var toClients = []string{
	"the database system is starting up", "the database system is shutting down",
	"the database system is not yet accepting connections", "the database system is in recovery mode",
	"the database system is not accepting connections", "sorry, too many clients already",
}

// lastLines is how many lines of a log reason gives if it finds no message that says why.
const lastLines = 3

// reason finds in a server's log why it ended, for an error of one line: the last message that is
// a PANIC, else a FATAL, else an ERROR, with its DETAIL and HINT. Without one of those, for the
// log may be in another language, it is the last lines.
func reason(log []byte) string {
	var found logMessage
	var lines []string
	for line := range bytes.Lines(log) {
		if text := strings.TrimSpace(string(line)); text != "" {
			lines = append(lines, text)
		}
	}
	for i, line := range lines {
		m, ok := parseMessage(line)
		if !ok || m.rank < found.rank || m.isToClient() {
			continue
		}
		m.addDetails(lines[i+1:])
		m.addCause(lines[:i])
		found = m
	}
	if found.rank > 0 {
		return found.text
	}
	return strings.Join(lines[max(0, len(lines)-lastLines):], "; ")
}

// logMessage is a message of a server's log.
type logMessage struct {
	rank int // of its severity: see severities
	text string
}

// severities are those that may be why a server ended, in ascending order.
var severities = []string{"ERROR:", "FATAL:", "PANIC:"}

// parseMessage reads a line of a log, whatever log_line_prefix is; false: it is none of severities.
func parseMessage(line string) (logMessage, bool) {
	for i, severity := range severities {
		if _, text, ok := strings.Cut(line, severity+"  "); ok {
			return logMessage{rank: i + 1, text: strings.TrimSpace(text)}, true
		}
	}
	return logMessage{}, false
}

// isToClient reports whether the message is the refusal of a client.
func (m *logMessage) isToClient() bool {
	return slices.ContainsFunc(toClients, func(s string) bool { return strings.HasPrefix(m.text, s) })
}

// vague are beginnings of messages that leave what is wrong to a LOG message before them.
var vague = []string{"configuration file", "could not load", "could not create any"}

// complaints are what such a LOG message has.
var complaints = []string{"could not", "invalid", "error", "unrecognized"}

// addCause adds, to a message that is vague, the last LOG message before it that complains.
func (m *logMessage) addCause(before []string) {
	if !slices.ContainsFunc(vague, func(s string) bool { return strings.HasPrefix(m.text, s) }) {
		return
	}
	for _, line := range slices.Backward(before) {
		_, text, ok := strings.Cut(line, "LOG:  ")
		if ok && slices.ContainsFunc(complaints, func(s string) bool { return strings.Contains(text, s) }) {
			m.text += "; " + text
			return
		}
	}
}

// addDetails adds the DETAIL and the HINT that stand behind a message.
func (m *logMessage) addDetails(next []string) {
	for _, line := range next[:min(2, len(next))] {
		for _, kind := range []string{"DETAIL:", "HINT:"} {
			if _, text, ok := strings.Cut(line, kind+"  "); ok {
				m.text += "; " + strings.ToLower(kind) + " " + strings.TrimSpace(text)
			}
		}
	}
}
