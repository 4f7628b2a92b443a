package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// What a pretended container does is said in three places; the later one wins, field by field:
//
//  1. the image's tag, so that an unmodified manifest can be made faulty by its image alone. Parts joined by "-":
//     pull3s · pullfail · crash5s · exit137 · neverready, e.g. registry.example/vision:2.0-crash5s-exit137
//  2. annotations of the pod template:
//     sim.edgefleet.io/pull-seconds: "3"   how long a pull takes when the uplink is good
//     sim.edgefleet.io/pull-fail: "true"   every pull fails
//     sim.edgefleet.io/crash-after: "5"    seconds from start to end, with exit code 1 if none is given
//     sim.edgefleet.io/exit-code: "137"    the code it ends with
//     sim.edgefleet.io/never-ready: "true" its readiness and start-up probes fail
//  3. faults.json in the box's folder, read anew whenever it changes: a list of
//     {"image": "*/vision:2.*", "pullSeconds": 3, "pullFail": true, "crashAfter": 5, "exitCode": 137, "neverReady": true}
//     where image is a pattern of the whole reference ("*" matches anything, "/" included).
const annotationPrefix = "sim.edgefleet.io/"

type behaviour struct {
	PullSeconds *float64 `json:"pullSeconds"` // nil: as fast as the uplink
	PullFail    *bool    `json:"pullFail"`    // nil: no
	CrashAfter  *float64 `json:"crashAfter"`  // seconds after start; nil: runs until it is stopped
	ExitCode    *int32   `json:"exitCode"`    // nil: 1
	NeverReady  *bool    `json:"neverReady"`  // nil: no
}

type fault struct {
	Image string `json:"image"`
	behaviour
}

// behave combines the three places; an error names the annotation that cannot be read.
func behave(image string, annotations map[string]string, faults []fault) (behaviour, error) {
	result := tagged(image)
	annotated, err := annotated(annotations)
	if err != nil {
		return behaviour{}, err
	}
	result = result.overriddenBy(annotated)
	for _, one := range faults {
		if matches(one.Image, image) {
			result = result.overriddenBy(one.behaviour)
		}
	}
	return result, nil
}

func (b behaviour) pullFails() bool { return b.PullFail != nil && *b.PullFail }

func (b behaviour) neverReady() bool { return b.NeverReady != nil && *b.NeverReady }

func (b behaviour) pullSeconds() float64 {
	if b.PullSeconds == nil {
		return 0
	}
	return *b.PullSeconds
}

// crash tells after which time the container ends and with which code; a code without a time means at once.
func (b behaviour) crash() (after time.Duration, code int32, crashes bool) {
	if b.CrashAfter == nil && b.ExitCode == nil {
		return 0, 0, false
	}
	code = 1
	if b.ExitCode != nil {
		code = *b.ExitCode
	}
	if b.CrashAfter != nil {
		after = seconds(*b.CrashAfter)
	}
	return after, code, true
}

func (b behaviour) overriddenBy(other behaviour) behaviour {
	if other.PullSeconds != nil {
		b.PullSeconds = other.PullSeconds
	}
	if other.PullFail != nil {
		b.PullFail = other.PullFail
	}
	if other.CrashAfter != nil {
		b.CrashAfter = other.CrashAfter
	}
	if other.ExitCode != nil {
		b.ExitCode = other.ExitCode
	}
	if other.NeverReady != nil {
		b.NeverReady = other.NeverReady
	}
	return b
}

var (
	crashPart = regexp.MustCompile(`^crash(\d+)s$`)
	pullPart  = regexp.MustCompile(`^pull(\d+)s$`)
	exitPart  = regexp.MustCompile(`^exit(\d{1,3})$`)
)

func tagged(image string) behaviour {
	var result behaviour
	yes := true
	name, _, _ := strings.Cut(image, "@")
	_, tag, _ := strings.Cut(path.Base(name), ":")
	for _, part := range strings.Split(tag, "-") {
		switch {
		case part == "pullfail":
			result.PullFail = &yes
		case part == "neverready":
			result.NeverReady = &yes
		case crashPart.MatchString(part):
			result.CrashAfter = number(crashPart.FindStringSubmatch(part)[1])
		case pullPart.MatchString(part):
			result.PullSeconds = number(pullPart.FindStringSubmatch(part)[1])
		case exitPart.MatchString(part):
			code := int32(*number(exitPart.FindStringSubmatch(part)[1]))
			result.ExitCode = &code
		}
	}
	return result
}

func number(digits string) *float64 {
	value, _ := strconv.ParseFloat(digits, 64) // digits only: the pattern has seen to it
	return &value
}

func annotated(annotations map[string]string) (behaviour, error) {
	var result behaviour
	var problems []error
	for key, text := range annotations {
		name, ours := strings.CutPrefix(key, annotationPrefix)
		if !ours {
			continue
		}
		if err := result.annotate(name, text); err != nil {
			problems = append(problems, fmt.Errorf("annotation %s: %w", key, err))
		}
	}
	return result, errors.Join(problems...)
}

func (b *behaviour) annotate(name, text string) error {
	var err error
	switch name {
	case "pull-seconds":
		b.PullSeconds, err = parsed(strconv.ParseFloat(text, 64))
	case "crash-after":
		b.CrashAfter, err = parsed(strconv.ParseFloat(text, 64))
	case "pull-fail":
		b.PullFail, err = parsed(strconv.ParseBool(text))
	case "never-ready":
		b.NeverReady, err = parsed(strconv.ParseBool(text))
	case "exit-code":
		var code int64
		code, err = strconv.ParseInt(text, 10, 32)
		short := int32(code)
		b.ExitCode = &short
	default:
		err = errors.New("is unknown: use pull-seconds, pull-fail, crash-after, exit-code or never-ready")
	}
	return err
}

func parsed[T any](value T, err error) (*T, error) {
	return &value, err
}

func matches(pattern, image string) bool {
	parts := strings.Split(pattern, "*")
	for index, part := range parts {
		parts[index] = regexp.QuoteMeta(part)
	}
	return regexp.MustCompile("^" + strings.Join(parts, ".*") + "$").MatchString(image)
}

func seconds(count float64) time.Duration {
	return time.Duration(count * float64(time.Second))
}

// faultFile is the box's faults.json; it is looked at on every question, which the kubelet asks once a second.
type faultFile struct {
	path    string
	changed time.Time // of the content below; zero: there is no file
	faults  []fault
}

// current returns the faults in force and since when; a file that cannot be read keeps the faults read before.
func (f *faultFile) current() ([]fault, time.Time) {
	info, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		f.faults, f.changed = nil, time.Time{}
		return nil, time.Time{}
	}
	if err != nil || info.ModTime().Equal(f.changed) {
		return f.faults, f.changed
	}
	content, err := os.ReadFile(f.path)
	if err != nil {
		return f.faults, f.changed
	}
	var faults []fault
	if json.Unmarshal(content, &faults) == nil {
		f.faults, f.changed = faults, info.ModTime()
	}
	return f.faults, f.changed
}
