// Go's concurrency.Mutex as a peer: see ../README.md.
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

type held struct {
	session *concurrency.Session
	mutex   *concurrency.Mutex
}

type peer struct {
	client *clientv3.Client
	locks  map[string]held
}

func (p *peer) lock(name, ttl string, wait time.Duration) (string, error) {
	ms, err := strconv.Atoi(ttl)
	if err != nil {
		return "", err
	}
	// A session of its own for each lock: one session cannot exclude itself.
	session, err := concurrency.NewSession(p.client, concurrency.WithTTL((ms+999)/1000))
	if err != nil {
		return "", err
	}
	mutex := concurrency.NewMutex(session, name)
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	if wait == 0 {
		err = mutex.TryLock(context.Background())
	} else {
		err = mutex.Lock(ctx)
	}
	if errors.Is(err, concurrency.ErrLocked) || errors.Is(err, context.DeadlineExceeded) {
		return "busy", session.Close()
	}
	if err != nil {
		return "", err
	}
	p.locks[name] = held{session, mutex}
	return "granted", nil
}

func (p *peer) unlock(name string) (string, error) {
	lock := p.locks[name]
	delete(p.locks, name)
	owner, err := p.client.Txn(context.Background()).If(lock.mutex.IsOwner()).Commit()
	if err != nil {
		return "", err
	}
	if err := lock.mutex.Unlock(context.Background()); err != nil {
		return "", err
	}
	if !owner.Succeeded {
		return "gone", nil
	}
	return "released", lock.session.Close()
}

// pairs locks and unlocks a number of times and says how many milliseconds that took.
func (p *peer) pairs(name, count string) (string, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return "", err
	}
	session, err := concurrency.NewSession(p.client)
	if err != nil {
		return "", err
	}
	defer session.Close()
	mutex := concurrency.NewMutex(session, name)
	begin := time.Now()
	for i := 0; i < n; i++ {
		if err := mutex.Lock(context.Background()); err != nil {
			return "", err
		}
		if err := mutex.Unlock(context.Background()); err != nil {
			return "", err
		}
	}
	return strconv.FormatInt(time.Since(begin).Milliseconds(), 10), nil
}

func (p *peer) answer(words []string) (string, error) {
	switch {
	case len(words) == 3 && words[0] == "lock":
		return p.lock(words[1], words[2], 0)
	case len(words) == 4 && words[0] == "wait":
		ms, err := strconv.Atoi(words[3])
		if err != nil {
			return "", err
		}
		return p.lock(words[1], words[2], time.Duration(ms)*time.Millisecond)
	case len(words) == 2 && words[0] == "unlock":
		return p.unlock(words[1])
	case len(words) == 3 && words[0] == "pairs":
		return p.pairs(words[1], words[2])
	}
	return "", errors.New("unknown")
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "go.etcd.io/etcd/client/v3" {
				return dep.Version
			}
		}
	}
	return "unknown"
}

func main() {
	endpoints := strings.Split(strings.TrimPrefix(os.Getenv("PEER_STORE"), "etcd://"), ",")
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialTimeout: 10 * time.Second})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	p := peer{client, map[string]held{}}
	fmt.Println("ready etcd-go", version())
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 1 && words[0] == "quit" {
			return
		}
		answer, err := p.answer(words)
		if err != nil {
			answer = "error " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(answer)
	}
}
