// One memberlist node, as the receiver of a flood and as one side of a state exchange: what node.c is for bruit.
//
//	mlnode -name NAME -addr IP [-key HEX] [-compress=false] [-gossip 0 -rmult 0]
//
// It never probes, since the members it is told of are made up, and never syncs by itself. It prints {"ready": true},
// and then answers each line on its standard input with a line of JSON: an empty one with its counters, "join IP" once
// that exchange is over. It ends with its input.
package main

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// Messages that the node's own queue had no room for are known from its log only.
type logCount struct{ full, errs int64 }

func (l *logCount) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("queue full")) {
		atomic.AddInt64(&l.full, 1)
	} else if bytes.Contains(p, []byte("[ERR]")) || bytes.Contains(p, []byte("[WARN]")) {
		if atomic.AddInt64(&l.errs, 1) <= 3 {
			os.Stderr.Write(p)
		}
	}
	return len(p), nil
}

type countConn struct {
	net.Conn
	in, out *int64
}

func (c countConn) Read(b []byte) (int, error) {
	n, e := c.Conn.Read(b)
	atomic.AddInt64(c.in, int64(n))
	return n, e
}

func (c countConn) Write(b []byte) (int, error) {
	n, e := c.Conn.Write(b)
	atomic.AddInt64(c.out, int64(n))
	return n, e
}

// Counts the bytes of the streams that this node dials.
type countTransport struct {
	*memberlist.NetTransport
	in, out int64
}

func (t *countTransport) DialAddressTimeout(a memberlist.Address, d time.Duration) (net.Conn, error) {
	c, err := t.NetTransport.DialAddressTimeout(a, d)
	if err != nil {
		return nil, err
	}
	return countConn{c, &t.in, &t.out}, nil
}

func main() {
	name := flag.String("name", "target", "")
	addr := flag.String("addr", "127.79.0.1", "")
	key := flag.String("key", "", "in hexadecimal digits")
	compress := flag.Bool("compress", true, "EnableCompression")
	gossip := flag.Int("gossip", 3, "GossipNodes; 0: no gossip")
	rmult := flag.Int("rmult", 4, "RetransmitMult")
	flag.Parse()

	c := memberlist.DefaultLANConfig()
	c.Name = *name
	c.BindAddr = *addr
	c.BindPort, c.AdvertisePort = 7946, 7946
	c.ProbeInterval = 0
	c.PushPullInterval = 0
	c.DelegateProtocolMin, c.DelegateProtocolMax, c.DelegateProtocolVersion = 2, 5, 4 // as Serf's
	c.GossipNodes = *gossip
	c.RetransmitMult = *rmult
	c.EnableCompression = *compress
	counts := &logCount{}
	c.LogOutput = counts
	if *key != "" {
		k, err := hex.DecodeString(*key)
		if err != nil {
			log.Fatal(err)
		}
		c.SecretKey = k
	}
	nt, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{*addr}, BindPort: 7946, Logger: log.New(counts, "", 0)})
	if err != nil {
		log.Fatal(err)
	}
	transport := &countTransport{NetTransport: nt}
	c.Transport = transport
	m, err := memberlist.Create(c)
	if err != nil {
		log.Fatal(err)
	}
	say := json.NewEncoder(os.Stdout)
	say.Encode(map[string]bool{"ready": true})
	runtime.GC()
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		if !strings.HasPrefix(line, "join ") {
			say.Encode(map[string]interface{}{"members": m.NumMembers(), "queue_full": atomic.LoadInt64(&counts.full)})
			continue
		}
		start := time.Now()
		n, err := m.Join([]string{strings.TrimSpace(line[5:]) + ":7946"})
		say.Encode(map[string]interface{}{"contacted": n, "err": fmt.Sprint(err), "wall_s": time.Since(start).Seconds(),
			"bytes_in": atomic.LoadInt64(&transport.in), "bytes_out": atomic.LoadInt64(&transport.out),
			"members": m.NumMembers()})
	}
}
