// Writes src/base/unicode_data.h: categories, scripts and case folding, as Go's regexp knows them.
//
//    go run tools/unicode.go > src/base/unicode_data.h
//
// Patterns are RE2's language as Go has it, so the tables are those of Go's package unicode, whose version stands at
// the top of what is written. Python's unicodedata has no scripts. The format is described in src/base/unicode.c.
package main

import (
    "fmt"
    "os"
    "runtime"
    "sort"
    "strings"
    "unicode"
)

const last = 0x10ffff
const every = 32 // runs between two entries of an index

func names(tables map[string]*unicode.RangeTable, keep func(string) bool) []string {
    var out []string
    for name := range tables {
        if keep(name) {
            out = append(out, name)
        }
    }
    sort.Strings(out)
    return out
}

// numbersOf gives each rune the number of the table it is in, counted from 1, or 0.
func numbersOf(tables map[string]*unicode.RangeTable, order []string) []byte {
    numbers := make([]byte, last+1)
    for i, name := range order {
        table := tables[name]
        fill := func(low, high, stride uint32) {
            for r := low; r <= high; r += stride {
                if numbers[r] != 0 {
                    fmt.Fprintln(os.Stderr, "two tables hold", r)
                    os.Exit(1)
                }
                numbers[r] = byte(i + 1)
            }
        }
        for _, r := range table.R16 {
            fill(uint32(r.Lo), uint32(r.Hi), uint32(r.Stride))
        }
        for _, r := range table.R32 {
            fill(r.Lo, r.Hi, r.Stride)
        }
    }
    return numbers
}

func list(kind, name string, values []int64) {
    line := fmt.Sprintf("static const %s %s[] = {", kind, name)
    for _, value := range values {
        text := fmt.Sprintf("%d,", value)
        if len(line)+1+len(text) > 108 {
            fmt.Println(line)
            line = "   "
        }
        line += " " + text
    }
    fmt.Println(strings.TrimSuffix(line, ",") + "};")
}

// runs writes which numbers follow each other: a byte with the number and, if short, how often, then how often.
func runs(name string, numbers []byte, shortBits uint) {
    var stream, starts, places []int64
    for r, count := 0, 0; r <= last; count++ {
        end := r
        for end <= last && numbers[end] == numbers[r] {
            end++
        }
        if count%every == 0 {
            starts = append(starts, int64(r))
            places = append(places, int64(len(stream)))
        }
        head, size := int64(numbers[r])<<shortBits, int64(end-r)
        if size < 1<<shortBits {
            stream = append(stream, head|size)
        } else {
            stream = append(stream, head)
            for ; size >= 128; size >>= 7 {
                stream = append(stream, size&127|128)
            }
            stream = append(stream, size)
        }
        r = end
    }
    list("uint8_t", name+"_runs", stream)
    list("uint32_t", name+"_starts", starts)
    list("uint16_t", name+"_places", places)
}

const evenOdd, oddEven = 1 << 24, 1<<24 + 1

// stepOf says how to get from a rune to the next of those that are the same but for case; 0: there is none.
func stepOf(r rune) int64 {
    next := unicode.SimpleFold(r)
    switch {
    case next == r:
        return 0
    case next == r^1:
        return evenOdd
    case next == (r+1)^1-1:
        return oddEven
    }
    return int64(next - r)
}

func folds() {
    var starts, counts, steps []int64
    for r := rune(0); r <= last; {
        step, end := stepOf(r), r+1
        for end <= last && stepOf(end) == step {
            end++
        }
        if step != 0 {
            starts = append(starts, int64(r))
            counts = append(counts, int64(end-r))
            steps = append(steps, step)
        }
        r = end
    }
    list("uint32_t", "fold_starts", starts)
    list("uint16_t", "fold_counts", counts)
    list("int32_t", "fold_steps", steps)
}

func nameList(name string, order []string) {
    line := fmt.Sprintf("static const char %s[] =\n   ", name)
    for _, each := range order {
        text := fmt.Sprintf(" \"%s\\0\"", each)
        if i := strings.LastIndex(line, "\n"); len(line)-i+len(text) > 108 {
            line += "\n   "
        }
        line += text
    }
    fmt.Println(line + ";")
}

func main() {
    isCategory := func(name string) bool { return len(name) == 2 && name != "Cn" && name != "LC" }
    categories := names(unicode.Categories, isCategory)
    scripts := names(unicode.Scripts, func(string) bool { return true })
    fmt.Printf("/* Categories, scripts and case folding of Unicode %s, written by tools/unicode.go ", unicode.Version)
    fmt.Printf("(%s): do not edit. */\n", runtime.Version())
    fmt.Println("#include <stdint.h>\n\n/* clang-format off */")
    nameList("category_names", categories)
    runs("category", numbersOf(unicode.Categories, categories), 3)
    nameList("script_names", scripts)
    runs("script", numbersOf(unicode.Scripts, scripts), 0)
    folds()
    fmt.Println("/* clang-format on */")
}
