package pageserver

import (
	"strconv"
	"strings"

	"zenith/internal/api"
	"zenith/internal/pg"
)

// The kinds of token of a replication command.
const (
	tokenEnd    = iota
	tokenIdent  // bare, in lower case; keywords too
	tokenQuoted // an identifier in double quotes
	tokenString
	tokenNumber
	tokenLSN
	tokenOther // one byte
)

// replToken is a token as repl_scanner.l cuts them.
type replToken struct {
	kind int
	text string
}

// replParser reads one replication command: repl_gram.y.
type replParser struct {
	in   string
	pos  int
	next replToken
}

// parseReplication gives a parser that stands before the first token.
func parseReplication(command string) (*replParser, error) {
	p := &replParser{in: command}
	return p, p.advance()
}

// advance reads the next token.
func (p *replParser) advance() error {
	for p.pos < len(p.in) && isBlank(p.in[p.pos]) {
		p.pos++
	}
	rest := p.in[p.pos:]
	p.next = replToken{}
	if rest == "" {
		return nil
	}
	if c := rest[0]; c == '"' || c == '\'' {
		return p.quoted(c)
	}
	kind, n := tokenOther, 1
	if m := spanLSN(rest); m > 0 {
		kind, n = tokenLSN, m
	} else if m := span(rest, isDigit); m > 0 {
		kind, n = tokenNumber, m
	} else if m := span(rest, isIdentByte); m > 0 {
		kind, n = tokenIdent, m
	}
	p.next = replToken{kind, rest[:n]}
	if kind == tokenIdent {
		p.next.text = strings.ToLower(rest[:n])
	}
	p.pos += n
	return nil
}

func (p *replParser) quoted(quote byte) error {
	lx := lexer{in: p.in, pos: p.pos + 1}
	var text strings.Builder
	if err := lx.quoted(&text, quote); err != nil {
		return err
	}
	p.pos, p.next = lx.pos, replToken{tokenString, text.String()}
	if quote == '"' {
		p.next.kind = tokenQuoted
	}
	return nil
}

// span is the length of the run of bytes at the start of s.
func span(s string, of func(byte) bool) int {
	n := 0
	for n < len(s) && of(s[n]) {
		n++
	}
	return n
}

// spanLSN is the length of an LSN at the start of s, 0 if there is none.
func spanLSN(s string) int {
	hi := span(s, isHexDigit)
	if hi == 0 || hi == len(s) || s[hi] != '/' {
		return 0
	}
	lo := span(s[hi+1:], isHexDigit)
	if lo == 0 {
		return 0
	}
	return hi + 1 + lo
}

func isDigit(c byte) bool    { return c >= '0' && c <= '9' }
func isHexDigit(c byte) bool { return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'f' }
func isIdentByte(c byte) bool {
	return isDigit(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$' || c >= 0x80
}

// errSyntaxAt says where the command could not be understood.
func (p *replParser) errSyntaxAt() error {
	if p.next.kind == tokenEnd {
		return api.Errorf(api.ErrSyntax, "syntax error at the end of the replication command")
	}
	return api.Errorf(api.ErrSyntax, "syntax error at %q in the replication command", api.Clip(p.next.text))
}

// word takes a bare word if it comes next.
func (p *replParser) word(w string) (bool, error) {
	if p.next.kind != tokenIdent || p.next.text != w {
		return false, nil
	}
	return true, p.advance()
}

// other takes a punctuation mark if it comes next.
func (p *replParser) other(mark string) (bool, error) {
	if p.next.kind != tokenOther || p.next.text != mark {
		return false, nil
	}
	return true, p.advance()
}

// take takes a token of one of the kinds.
func (p *replParser) take(kinds ...int) (string, error) {
	for _, k := range kinds {
		if p.next.kind == k {
			text := p.next.text
			return text, p.advance()
		}
	}
	return "", p.errSyntaxAt()
}

func (p *replParser) ident() (string, error) { return p.take(tokenIdent, tokenQuoted) }

// timeline takes the number of a timeline.
func (p *replParser) timeline() (pg.TLI, error) {
	text, err := p.take(tokenNumber)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, api.Errorf(api.ErrSyntax, "invalid timeline %s", api.Clip(text))
	}
	return pg.TLI(n), nil
}

// end checks that nothing follows but a semicolon.
func (p *replParser) end() error {
	if _, err := p.other(";"); err != nil {
		return err
	}
	if p.next.kind != tokenEnd {
		return p.errSyntaxAt()
	}
	return nil
}

// replOption is an option in parentheses: NAME ['VALUE'].
type replOption struct {
	name  string
	value string
	given bool // there is a value
}

// boolean is the value as defGetBoolean reads it: none means true.
func (o replOption) boolean() (bool, error) {
	if !o.given {
		return true, nil
	}
	if v, ok := parseBool(o.value); ok {
		return v, nil
	}
	return false, api.Errorf(api.ErrSyntax, "%s requires a Boolean value", o.name)
}

// text is the value, which must be there.
func (o replOption) text() (string, error) {
	if !o.given {
		return "", api.Errorf(api.ErrSyntax, "%s requires a parameter", o.name)
	}
	return o.value, nil
}

// parseBool is parse_bool, but for the shortest forms.
func parseBool(s string) (v, ok bool) {
	switch strings.ToLower(s) {
	case "true", "t", "on", "yes", "y", "1":
		return true, true
	case "false", "f", "off", "no", "n", "0":
		return false, true
	}
	return false, false
}

// options takes a list in parentheses, if one comes next. No option may come twice.
func (p *replParser) options() ([]replOption, error) {
	if open, err := p.other("("); !open || err != nil {
		return nil, err
	}
	var list []replOption
	seen := map[string]bool{}
	for {
		o, err := p.option()
		if err != nil {
			return nil, err
		}
		if seen[o.name] {
			return nil, api.Errorf(api.ErrSyntax, "duplicate option %q", api.Clip(o.name))
		}
		seen[o.name] = true
		list = append(list, o)
		if more, err := p.other(","); err != nil {
			return nil, err
		} else if more {
			continue
		}
		if closed, err := p.other(")"); closed || err != nil {
			return list, err
		}
		return nil, p.errSyntaxAt()
	}
}

func (p *replParser) option() (o replOption, err error) {
	if o.name, err = p.ident(); err != nil {
		return o, err
	}
	switch p.next.kind {
	case tokenIdent, tokenQuoted, tokenString, tokenNumber:
		o.given, o.value = true, p.next.text
		err = p.advance()
	}
	return o, err
}
