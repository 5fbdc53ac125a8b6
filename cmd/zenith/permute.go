package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// permute brings arguments into the order that the cli library needs: global flags, the names of
// the command and its subcommand, its flags, "--", its arguments. So a user may write flags after
// arguments, as in `zenith mount main DIR --scratch`, and global flags after the command. What
// follows "--" is not touched, nor is, for `pg exec`, what follows the name of the program to run.
func permute(app *cli.App, args []string) ([]string, error) {
	p := permuter{global: app.Flags, commands: app.Commands, keep: -1}
	for len(args) > 0 && args[0] != "--" {
		if !isFlag(args[0]) {
			if p.word(args[0]); p.full() {
				args = args[1:]
				break
			}
			args = args[1:]
			continue
		}
		n, err := p.flag(args)
		if err != nil {
			return nil, err
		}
		args = args[n:]
	}
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if p.help {
		p.flags = append(p.flags, "--help")
	}
	if p.command == nil {
		if len(p.words) > 0 {
			return nil, usagef("unknown command %q%s (see zenith --help)", p.words[0], p.suggestion(p.words[0]))
		}
		return append(p.globals, p.flags...), nil
	}
	return p.join(args), nil
}

// suggestion asks whether the user meant the command that is most like a word; "" if none begins as the word does.
func (p *permuter) suggestion(word string) string {
	alike := slices.DeleteFunc(slices.Clone(p.commands), func(c *cli.Command) bool { return c.Name[0] != word[0] })
	if len(alike) == 0 {
		return ""
	}
	return ": " + strings.ToLower(cli.SuggestCommand(alike, word)[:1]) + cli.SuggestCommand(alike, word)[1:]
}

// permuter sorts arguments by what they are.
type permuter struct {
	global   []cli.Flag
	commands []*cli.Command // those that the next word can name
	command  *cli.Command   // the innermost command that was named so far
	keep     int            // the rest is not touched after so many words; -1: no such number
	help     bool           // the first word was help: `zenith help COMMAND` is `zenith COMMAND --help`

	globals, path, flags, words []string
}

// restAfter has the commands that run a program: after so many words, the other arguments belong to that
// program.
var restAfter = map[string]int{"exec": 2}

// word sorts an argument that is no flag: the name of a command, or an argument of the command.
func (p *permuter) word(w string) {
	if p.command == nil && w == "help" {
		p.help = true
		return
	}
	if len(p.words) == 0 {
		for _, c := range p.commands {
			if c.HasName(w) {
				p.command, p.commands = c, c.Subcommands
				p.path = append(p.path, w)
				if n, found := restAfter[c.Name]; found {
					p.keep = n
				}
				return
			}
		}
	}
	p.words = append(p.words, w)
}

// full reports whether the arguments that follow are not to be touched.
func (p *permuter) full() bool {
	return len(p.words) == p.keep || (p.command == nil && len(p.words) > 0)
}

// flag sorts a flag and its value, and gives the number of arguments that they take up: 1 or 2.
func (p *permuter) flag(args []string) (int, error) {
	name, _, joined := strings.Cut(strings.TrimLeft(args[0], "-"), "=")
	into, found := &p.flags, (cli.Flag)(nil)
	if p.command != nil {
		found = lookup(p.command.Flags, name)
	}
	if found == nil {
		if found = lookup(p.global, name); found != nil {
			into = &p.globals
		}
	}
	if found == nil && p.command == nil && name != "help" && name != "h" && name != "version" && name != "v" {
		return 0, usagef("unknown flag %s (see zenith --help)", args[0])
	}
	if p.command == nil {
		into = &p.globals
	}
	n := 1
	if found != nil && !joined && takesValue(found) {
		n = 2
	}
	if n > len(args) {
		return 0, usagef("flag %s needs a value", args[0])
	}
	*into = append(*into, args[:n]...)
	return n, nil
}

// join gives the sorted arguments. rest are those that are not to be touched.
func (p *permuter) join(rest []string) []string {
	all := append(p.globals, p.path...)
	all = append(all, p.flags...)
	if len(p.words)+len(rest) == 0 {
		return all
	}
	all = append(all, "--")
	all = append(all, p.words...)
	return append(all, rest...)
}

// isFlag tells a flag from a word. "-" alone is a word, which means standard output, and so is
// "-15m", the point of a quarter of an hour ago.
func isFlag(arg string) bool {
	return len(arg) > 1 && arg[0] == '-' && (arg[1] < '0' || arg[1] > '9')
}

func lookup(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		for _, n := range f.Names() {
			if n == name {
				return f
			}
		}
	}
	return nil
}

// takesValue reports whether a flag has a value, and is not just given or not.
func takesValue(f cli.Flag) bool {
	d, ok := f.(cli.DocGenerationFlag)
	return ok && d.TakesValue()
}
