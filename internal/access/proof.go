package access

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"
)

// Proof is a client's side of a Conversation.
type Proof struct{ conv *scram.ClientConversation }

// NewProof begins to prove that the client knows a password to a server that offers mechanisms, and gives the one to
// take. Its first Step is without a message of the server.
//
// Where the connection could be bound to the server's certificate, and the server does not offer that, the proof says so. A
// server that did offer it refuses then: somebody in the middle has changed what it said.
func NewProof(password string, b Binding, offered []string) (*Proof, string, error) {
	c, err := newClient(password)
	if err != nil {
		return nil, "", err
	}
	switch {
	case b.scram.IsSupported() && slices.Contains(offered, MechanismScramPlus):
		return &Proof{c.NewConversationWithChannelBinding(b.scram)}, MechanismScramPlus, nil
	case !slices.Contains(offered, MechanismScram):
		return nil, "", errors.New("the server asks for an authentication other than " + MechanismScram)
	case b.scram.IsSupported():
		return &Proof{c.NewConversationAdvertisingChannelBinding()}, MechanismScram, nil
	}
	return &Proof{c.NewConversation()}, MechanismScram, nil
}

// Step takes the server's message and gives the client's next one.
func (p *Proof) Step(message string) (string, error) {
	if err := checkIterations(message); err != nil {
		return "", err
	}
	return p.conv.Step(message)
}

// Valid reports whether the server has shown that it knows the password, too.
func (p *Proof) Valid() bool { return p.conv.Valid() }

// checkIterations refuses a server's first message that asks for more work than a server may.
func checkIterations(message string) error {
	for attribute := range strings.SplitSeq(message, ",") {
		count, found := strings.CutPrefix(attribute, "i=")
		if n, err := strconv.Atoi(count); found && (err != nil || n > maxIterations) {
			return fmt.Errorf("the server asks for %.20s iterations of SCRAM, more than %d", count, maxIterations)
		}
	}
	return nil
}
