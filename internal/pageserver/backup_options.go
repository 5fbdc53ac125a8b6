package pageserver

import (
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"zenith/internal/api"
)

// backupRequest is a BASE_BACKUP that was understood.
type backupRequest struct {
	api.BackupOptions
	maxRate     int64 // bytes per second; 0: any
	compression compression
}

// The bounds of MAX_RATE, in KiB per second.
const (
	minMaxRate = 32
	maxMaxRate = 1 << 20
)

// backupOptions are the options of BASE_BACKUP, in lower case. Those without effect ask for
// what is done anyway, or makes no difference here.
var backupOptions = map[string]func(*backupDraft, replOption) error{
	"label":    func(d *backupDraft, o replOption) (err error) { d.Label, err = o.text(); return err },
	"progress": func(d *backupDraft, o replOption) (err error) { d.Sizes, err = o.boolean(); return err },
	"wal":      func(d *backupDraft, o replOption) (err error) { d.WAL, err = o.boolean(); return err },
	"tablespace_map": func(d *backupDraft, o replOption) (err error) {
		d.TablespaceMap, err = o.boolean()
		return err
	},
	"checkpoint":         (*backupDraft).setCheckpoint,
	"wait":               func(_ *backupDraft, o replOption) error { _, err := o.boolean(); return err },
	"verify_checksums":   func(_ *backupDraft, o replOption) error { _, err := o.boolean(); return err },
	"incremental":        (*backupDraft).setIncremental,
	"max_rate":           (*backupDraft).setMaxRate,
	"manifest":           (*backupDraft).setManifest,
	"manifest_checksums": (*backupDraft).setChecksums,
	"target":             (*backupDraft).setTarget,
	"target_detail":      func(d *backupDraft, o replOption) (err error) { d.targetDetail = true; return nil },
	"compression":        func(d *backupDraft, o replOption) (err error) { d.algorithm, err = o.text(); return err },
	"compression_detail": func(d *backupDraft, o replOption) (err error) { d.detail, err = o.text(); return err },
}

// oldBackupOptions are the options of servers before PostgreSQL 15, which later ones up to 16 take as well: words without
// parentheses and commas (repl_gram.y, base_backup_legacy_opt_list). value is what a word without a value means.
var oldBackupOptions = map[string]struct {
	name, value string
	takes       []int // the kind of token that follows, if one does
}{
	"label":              {name: "label", takes: []int{tokenString}},
	"progress":           {name: "progress", value: "true"},
	"fast":               {name: "checkpoint", value: "fast"},
	"wal":                {name: "wal", value: "true"},
	"nowait":             {name: "wait", value: "false"},
	"max_rate":           {name: "max_rate", takes: []int{tokenNumber}},
	"tablespace_map":     {name: "tablespace_map", value: "true"},
	"noverify_checksums": {name: "verify_checksums", value: "false"},
	"manifest":           {name: "manifest", takes: []int{tokenString}},
	"manifest_checksums": {name: "manifest_checksums", takes: []int{tokenString}},
}

// parseBaseBackup takes the options in either form.
func parseBaseBackup(p *replParser, r *replRequest) (err error) {
	if r.options, err = p.options(); err != nil || r.options != nil {
		return err
	}
	seen := map[string]bool{}
	for p.next.kind == tokenIdent {
		word := p.next.text
		old, known := oldBackupOptions[word]
		if !known {
			return p.errSyntaxAt()
		}
		if seen[word] {
			return api.Errorf(api.ErrSyntax, "duplicate option %q", word)
		}
		seen[word] = true
		o := replOption{name: old.name, value: old.value, given: true}
		if err = p.advance(); err == nil && old.takes != nil {
			o.value, err = p.take(old.takes...)
		}
		if err != nil {
			return err
		}
		r.options = append(r.options, o)
	}
	return nil
}

// backupDraft is a backupRequest being put together.
type backupDraft struct {
	backupRequest
	target            bool
	targetDetail      bool
	algorithm, detail string
}

// parseBackupOptions is parse_basebackup_options.
func parseBackupOptions(options []replOption) (backupRequest, error) {
	d := &backupDraft{}
	d.Label = "base backup"
	for _, o := range options {
		set, known := backupOptions[o.name]
		if !known {
			return d.backupRequest, api.Errorf(api.ErrSyntax, "unrecognized base backup option: %q", api.Clip(o.name))
		}
		if err := set(d, o); err != nil {
			return d.backupRequest, err
		}
	}
	return d.backupRequest, d.finish()
}

// finish checks what depends on more than one option.
func (d *backupDraft) finish() (err error) {
	switch {
	case !d.Manifest && d.Checksums != "":
		return api.Errorf(api.ErrSyntax, "manifest checksums require a backup manifest")
	case d.targetDetail && !d.target:
		return api.Errorf(api.ErrSyntax, "target detail cannot be used without target")
	case d.targetDetail:
		return api.Errorf(api.ErrSyntax, "target \"client\" does not accept a target detail")
	case d.detail != "" && d.algorithm == "":
		return api.Errorf(api.ErrSyntax, "compression detail cannot be specified unless compression is enabled")
	case strings.ContainsAny(d.Label, "\n\r"):
		return api.Errorf(api.ErrBadArgument, "backup label may not hold line ends")
	case len(d.Label) > maxLabel:
		return api.Errorf(api.ErrBadArgument, "backup label too long (max %d bytes)", maxLabel)
	}
	if d.Checksums == "" {
		d.Checksums = "CRC32C"
	}
	if d.algorithm == "" {
		d.algorithm = "none"
	}
	d.compression, err = parseCompression(d.algorithm, d.detail)
	return err
}

// maxLabel is MAXPGPATH.
const maxLabel = 1024

func (o replOption) oneOf(what string, values ...string) error {
	v, err := o.text()
	if err != nil {
		return err
	}
	for _, known := range values {
		if strings.EqualFold(v, known) {
			return nil
		}
	}
	return api.Errorf(api.ErrSyntax, "unrecognized %s: %q", what, api.Clip(v))
}

func (d *backupDraft) setIncremental(o replOption) error {
	wanted, err := o.boolean()
	if err == nil && wanted {
		err = errIncremental
	}
	return err
}

func (d *backupDraft) setCheckpoint(o replOption) error {
	d.Fast = strings.EqualFold(o.value, "fast")
	return o.oneOf("checkpoint type", "fast", "spread")
}

func (d *backupDraft) setMaxRate(o replOption) error {
	n, err := strconv.ParseInt(o.value, 10, 64)
	if err != nil {
		return api.Errorf(api.ErrSyntax, "max_rate requires a numeric value")
	}
	if n < minMaxRate || n > maxMaxRate {
		return api.Errorf(api.ErrOutOfRange, "%d is outside the valid range for parameter \"MAX_RATE\" (%d .. %d)", n, minMaxRate, maxMaxRate)
	}
	d.maxRate = n << 10
	return nil
}

func (d *backupDraft) setManifest(o replOption) error {
	v, err := o.text()
	if err != nil {
		return err
	}
	if d.ForceEncode = strings.EqualFold(v, "force-encode"); d.ForceEncode {
		d.Manifest = true
		return nil
	}
	yes, ok := parseBool(v)
	if !ok {
		return api.Errorf(api.ErrSyntax, "unrecognized manifest option: %q", api.Clip(v))
	}
	d.Manifest = yes
	return nil
}

func (d *backupDraft) setChecksums(o replOption) error {
	err := o.oneOf("checksum algorithm", "NONE", "CRC32C", "SHA224", "SHA256", "SHA384", "SHA512")
	d.Checksums = strings.ToUpper(o.value)
	return err
}

func (d *backupDraft) setTarget(o replOption) error {
	d.target = true
	if v, err := o.text(); err != nil || v != "client" {
		return errorsOr(err, api.Errorf(api.ErrUnsupported, "target %q: only \"client\" is supported", api.Clip(v)))
	}
	return nil
}

func errorsOr(err, or error) error {
	if err != nil {
		return err
	}
	return or
}

// compression says how archives are compressed.
type compression struct {
	suffix string // of their names
	writer func(io.Writer) (io.WriteCloser, error)
}

// algorithms are those of PostgreSQL 15.
var algorithms = map[string]struct {
	suffix       string
	def          int
	minLevel     int
	maxLevel     int
	takesWorkers bool
	writer       func(w io.Writer, level int) (io.WriteCloser, error)
}{
	"none": {"", 0, 0, 0, false, func(w io.Writer, _ int) (io.WriteCloser, error) { return uncompressed{w}, nil }},
	"gzip": {".gz", gzip.DefaultCompression, 1, 9, false, func(w io.Writer, level int) (io.WriteCloser, error) {
		return gzip.NewWriterLevel(w, level)
	}},
	"zstd": {".zst", 3, -131072, 22, true, func(w io.Writer, level int) (io.WriteCloser, error) {
		return zstd.NewWriter(w, zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)), zstd.WithEncoderConcurrency(1))
	}},
	"lz4": {".lz4", 0, 1, 12, false, func(w io.Writer, level int) (io.WriteCloser, error) {
		z := lz4.NewWriter(w)
		return z, z.Apply(lz4.CompressionLevelOption(lz4Level(level)))
	}},
}

// uncompressed has nothing to close.
type uncompressed struct{ io.Writer }

// Close implements io.Closer.
func (uncompressed) Close() error { return nil }

// lz4Level maps the levels of LZ4's own library: above 2 they are the slower, better ones.
func lz4Level(level int) lz4.CompressionLevel {
	if level < 3 {
		return lz4.Fast
	}
	return lz4.CompressionLevel(1 << (8 + min(level-2, 9)))
}

// parseCompression understands COMPRESSION and COMPRESSION_DETAIL: a level, or
// level=N,workers=N.
func parseCompression(name, detail string) (compression, error) {
	a, known := algorithms[name]
	if !known {
		return compression{}, api.Errorf(api.ErrSyntax, "unrecognized compression algorithm: %q", api.Clip(name))
	}
	invalid := func(format string, args ...any) (compression, error) {
		return compression{}, api.Errorf(api.ErrSyntax, "invalid compression specification: "+format, args...)
	}
	level := a.def
	if n, err := strconv.Atoi(detail); err == nil {
		level = n
	} else if detail != "" {
		for entry := range strings.SplitSeq(detail, ",") {
			key, value, _ := strings.Cut(entry, "=")
			n, err := strconv.Atoi(value)
			switch {
			case key == "":
				return invalid("found empty string where a compression option was expected")
			case key != "level" && key != "workers":
				return invalid("unrecognized compression option: %q", api.Clip(key))
			case err != nil:
				return invalid("value for compression option %q must be an integer", key)
			case key == "level":
				level = n
			case !a.takesWorkers:
				return invalid("compression algorithm %q does not accept a worker count", name)
			}
		}
	}
	switch {
	case name == "none" && level != 0:
		return invalid("compression algorithm \"none\" does not accept a compression level")
	case level != a.def && (level < a.minLevel || level > a.maxLevel):
		return invalid("compression algorithm %q expects a compression level between %d and %d (default at %d)", name, a.minLevel, a.maxLevel, a.def)
	}
	return compression{a.suffix, func(w io.Writer) (io.WriteCloser, error) { return a.writer(w, level) }}, nil
}
