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

// pairs locks and unlocks a number of times, by so many goroutines with a lock each, and says how many nanoseconds that took.
func (p *peer) pairs(name, count, tasks string) (string, error) {
	n, err := strconv.Atoi(count)
	if err != nil {
		return "", err
	}
	many, err := strconv.Atoi(tasks)
	if err != nil {
		return "", err
	}
	session, err := concurrency.NewSession(p.client)
	if err != nil {
		return "", err
	}
	defer session.Close()
	begin := time.Now()
	done := make(chan error, many)
	for task := 0; task < many; task++ {
		own := name
		if many > 1 {
			own = name + "-" + strconv.Itoa(task)
		}
		go func() { done <- take(concurrency.NewMutex(session, own), n) }()
	}
	for task := 0; task < many; task++ {
		if err := <-done; err != nil {
			return "", err
		}
	}
	return "took " + strconv.FormatInt(time.Since(begin).Nanoseconds(), 10), nil
}

func take(mutex *concurrency.Mutex, times int) error {
	for i := 0; i < times; i++ {
		if err := mutex.Lock(context.Background()); err != nil {
			return err
		}
		if err := mutex.Unlock(context.Background()); err != nil {
			return err
		}
	}
	return nil
}

// handovers says how long after one client begins to release another one, which waits, holds the lock.
func (p *peer) handovers(name, times string) (string, error) {
	n, err := strconv.Atoi(times)
	if err != nil {
		return "", err
	}
	var mutexes [2]*concurrency.Mutex
	for at := range mutexes {
		client, err := clientv3.New(clientv3.Config{Endpoints: p.client.Endpoints(), DialTimeout: 10 * time.Second})
		if err != nil {
			return "", err
		}
		defer client.Close()
		session, err := concurrency.NewSession(client)
		if err != nil {
			return "", err
		}
		defer session.Close()
		mutexes[at] = concurrency.NewMutex(session, name)
	}
	took := "took"
	for turn := 0; turn < n; turn++ {
		waited, err := handOver(mutexes[0], mutexes[1], turn)
		if err != nil {
			return "", err
		}
		took += " " + strconv.FormatInt(waited.Nanoseconds(), 10)
	}
	return took, nil
}

func handOver(one, two *concurrency.Mutex, turn int) (time.Duration, error) {
	if err := one.Lock(context.Background()); err != nil {
		return 0, err
	}
	type answer struct {
		at  time.Time
		err error
	}
	got := make(chan answer, 1)
	go func() {
		err := two.Lock(context.Background())
		got <- answer{time.Now(), err}
	}()
	// Long enough to wait for sure, and no multiple of the interval of who polls.
	time.Sleep(time.Duration(120+37*turn%100) * time.Millisecond)
	begin := time.Now()
	if err := one.Unlock(context.Background()); err != nil {
		return 0, err
	}
	second := <-got
	if second.err != nil {
		return 0, second.err
	}
	return second.at.Sub(begin), two.Unlock(context.Background())
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
	case len(words) == 4 && words[0] == "pairs":
		return p.pairs(words[1], words[2], words[3])
	case len(words) == 3 && words[0] == "handovers":
		return p.handovers(words[1], words[2])
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
