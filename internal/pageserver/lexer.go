package pageserver

import (
	"strconv"
	"strings"

	"zenith/internal/api"
)

// word is one argument of a command.
type word struct {
	text  string
	param int // n of a bare $n, to be replaced by a parameter of Bind; 0 else
}

// statement is a command and its arguments.
type statement []word

// Bounds of what the lexer takes.
const (
	maxWords  = 1000
	maxParams = 100
)

// parseStatements cuts a query string into statements at ";" and these into words at
// blanks. Double and single quotes make blanks, semicolons and the other quote ordinary;
// a doubled quote stands for one. A word may be quoted in part: "my branch"@0/16B3748.
// "--" at the start of a word begins a comment. Empty statements are dropped.
func parseStatements(query string) ([]statement, error) {
	lx := lexer{in: query}
	var all []statement
	for {
		st, more, err := lx.statement()
		if err != nil {
			return nil, err
		}
		if len(st) > 0 {
			all = append(all, st)
		}
		if !more {
			return all, nil
		}
	}
}

// lexer walks over a query string.
type lexer struct {
	in    string
	pos   int
	words int
}

// statement reads up to the next ";" (more) or the end.
func (lx *lexer) statement() (st statement, more bool, err error) {
	for {
		lx.skipBlanks()
		if lx.pos == len(lx.in) {
			return st, false, nil
		}
		if lx.in[lx.pos] == ';' {
			lx.pos++
			return st, true, nil
		}
		if lx.words++; lx.words > maxWords {
			return nil, false, api.Errorf(api.ErrSyntax, "more than %d words", maxWords)
		}
		w, err := lx.word()
		if err != nil {
			return nil, false, err
		}
		st = append(st, w)
	}
}

// skipBlanks passes white space and comments.
func (lx *lexer) skipBlanks() {
	for lx.pos < len(lx.in) {
		switch {
		case isBlank(lx.in[lx.pos]):
			lx.pos++
		case strings.HasPrefix(lx.in[lx.pos:], "--"):
			end := strings.IndexByte(lx.in[lx.pos:], '\n')
			if end < 0 {
				lx.pos = len(lx.in)
				return
			}
			lx.pos += end
		default:
			return
		}
	}
}

// word reads bare and quoted runs up to a blank, a ";" or the end.
func (lx *lexer) word() (word, error) {
	var text strings.Builder
	quoted := false
	for lx.pos < len(lx.in) {
		c := lx.in[lx.pos]
		if isBlank(c) || c == ';' {
			break
		}
		lx.pos++
		if c != '"' && c != '\'' {
			text.WriteByte(c)
			continue
		}
		quoted = true
		if err := lx.quoted(&text, c); err != nil {
			return word{}, err
		}
	}
	w := word{text: text.String()}
	if !quoted {
		return w.withParam()
	}
	return w, nil
}

// quoted reads up to the closing quote, which stands doubled for itself.
func (lx *lexer) quoted(text *strings.Builder, quote byte) error {
	start := lx.pos - 1
	for lx.pos < len(lx.in) {
		c := lx.in[lx.pos]
		lx.pos++
		if c != quote {
			text.WriteByte(c)
			continue
		}
		if lx.pos == len(lx.in) || lx.in[lx.pos] != quote {
			return nil
		}
		text.WriteByte(quote)
		lx.pos++
	}
	return api.Errorf(api.ErrSyntax, "quote at position %d is not closed", start+1)
}

// withParam recognises $n.
func (w word) withParam() (word, error) {
	digits, found := strings.CutPrefix(w.text, "$")
	if !found || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return w, nil
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n < 1 || n > maxParams {
		return w, api.Errorf(api.ErrSyntax, "parameter %s: want $1 to $%d", w.text, maxParams)
	}
	w.param = n
	return w, nil
}

// params gives the number of parameters that the statement wants.
func (st statement) params() int {
	n := 0
	for _, w := range st {
		n = max(n, w.param)
	}
	return n
}

// args gives the words' texts, parameters filled in.
func (st statement) args(params []string) ([]string, error) {
	out := make([]string, len(st))
	for i, w := range st {
		switch {
		case w.param == 0:
			out[i] = w.text
		case w.param <= len(params):
			out[i] = params[w.param-1]
		default:
			return nil, api.Errorf(api.ErrSyntax, "there is no parameter $%d", w.param)
		}
	}
	return out, nil
}

func isBlank(c byte) bool {
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v'
}

// quoteWord writes s so that parseStatements gives it back as one word.
func quoteWord(s string) string {
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// joinWords is the inverse of parseStatements for one statement. The name of the command stays bare.
func joinWords(name string, args ...string) string {
	var b strings.Builder
	b.WriteString(name)
	for _, a := range args {
		b.WriteByte(' ')
		b.WriteString(quoteWord(a))
	}
	return b.String()
}
