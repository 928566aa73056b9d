// Writes a corpus of memberlist packets for flood.c: repeated length (16 bits, big-endian), a byte that says whether a
// reply is expected, payload. Encoded by the libraries that memberlist itself uses, so that no receiver is fed packets
// of its own making.
//
//	-kind ping   pings for -target
//	-kind alive  alive messages about -members made-up members, -per to a compound packet; a ping after every
//	             -sync packets lets the flooder see how far the receiver has come
package main

import (
	"bufio"
	"bytes"
	"compress/lzw"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"log"
	"net"
	"os"

	"github.com/hashicorp/go-msgpack/codec"
)

type ping struct {
	SeqNo      uint32
	Node       string
	SourceAddr []byte `codec:",omitempty"`
	SourcePort uint16 `codec:",omitempty"`
	SourceNode string `codec:",omitempty"`
}

type alive struct {
	Incarnation uint32
	Node        string
	Addr        []byte
	Port        uint16
	Meta        []byte
	Vsn         []uint8
}

type compressed struct {
	Algo uint8
	Buf  []byte
}

var (
	kind     = flag.String("kind", "ping", "ping or alive")
	target   = flag.String("target", "target", "name of the receiver")
	source   = flag.String("source", "127.79.200.1", "address of the flooder")
	port     = flag.Int("port", 9000, "port of the flooder")
	count    = flag.Int("count", 1000, "pings")
	members  = flag.Int("members", 1000, "")
	per      = flag.Int("per", 20, "alive messages per packet")
	inc      = flag.Int("inc", 10, "incarnation")
	sync     = flag.Int("sync", 16, "packets between pings")
	key      = flag.String("key", "", "in hexadecimal digits: seal")
	compress = flag.Bool("compress", false, "")
	out      = flag.String("o", "", "file")
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func encode(t byte, v interface{}) []byte {
	b := bytes.NewBuffer([]byte{t})
	check(codec.NewEncoder(b, &codec.MsgpackHandle{}).Encode(v))
	return b.Bytes()
}

func shorter(p []byte) []byte {
	var b bytes.Buffer
	z := lzw.NewWriter(&b, lzw.LSB, 8)
	z.Write(p)
	z.Close()
	if c := encode(9, &compressed{0, b.Bytes()}); len(c) < len(p) {
		return c
	}
	return p
}

func seal(gcm cipher.AEAD, p []byte) []byte {
	nonce := make([]byte, 12)
	rand.Read(nonce)
	return append(append([]byte{1}, nonce...), gcm.Seal(nil, nonce, p, nil)...)
}

func compound(messages [][]byte) []byte {
	if len(messages) == 1 {
		return messages[0]
	}
	b := []byte{7, byte(len(messages))}
	for _, m := range messages {
		b = append(b, byte(len(m)>>8), byte(len(m)))
	}
	return append(b, bytes.Join(messages, nil)...)
}

func main() {
	flag.Parse()
	f, err := os.Create(*out)
	check(err)
	w := bufio.NewWriter(f)
	var gcm cipher.AEAD
	if *key != "" {
		k, err := hex.DecodeString(*key)
		check(err)
		block, err := aes.NewCipher(k)
		check(err)
		gcm, err = cipher.NewGCM(block)
		check(err)
	}
	packets, size := 0, 0
	put := func(p []byte, reply byte) {
		if *compress && reply == 0 {
			p = shorter(p)
		}
		if gcm != nil {
			p = seal(gcm, p)
		}
		binary.Write(w, binary.BigEndian, uint16(len(p)))
		w.WriteByte(reply)
		w.Write(p)
		if reply == 0 || *kind == "ping" {
			packets++
			size += len(p)
		}
	}
	putPing := func(i int) {
		put(encode(0, &ping{uint32(1000000 + i), *target, net.ParseIP(*source).To4(), uint16(*port), "flooder"}), 1)
	}
	if *kind == "ping" {
		for i := 0; i < *count; i++ {
			putPing(i)
		}
	} else {
		for i := 0; i < *members; {
			var messages [][]byte
			for ; len(messages) < *per && i < *members; i++ {
				messages = append(messages, encode(4, &alive{uint32(*inc), fmt.Sprintf("node-%05d", i),
					[]byte{127, 80, byte(i >> 8), byte(i)}, 7946, nil, []uint8{1, 5, 2, 2, 5, 4}}))
			}
			put(compound(messages), 0)
			if packets%*sync == 0 || i >= *members {
				putPing(packets)
			}
		}
	}
	check(w.Flush())
	check(f.Close())
	fmt.Printf("{\"packets\": %d, \"bytes\": %d, \"avg\": %.1f}\n", packets, size, float64(size)/float64(packets))
}
