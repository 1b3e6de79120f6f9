// redsync and bsm/redislock as peers: see ../README.md.
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

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"
)

const retryDelay = 50 * time.Millisecond

// library takes a lock and answers how to give it back, which says whether it was still held; errBusy when it is taken.
type library func(name string, ttl, wait time.Duration) (unlock func() (bool, error), err error)

var errBusy = errors.New("busy")

func withRedsync(client *redis.Client) library {
	locks := redsync.New(goredis.NewPool(client))
	return func(name string, ttl, wait time.Duration) (func() (bool, error), error) {
		tries := redsync.WithTries(1 + int(wait/retryDelay))
		mutex := locks.NewMutex(name, redsync.WithExpiry(ttl), tries, redsync.WithRetryDelay(retryDelay))
		var taken *redsync.ErrTaken
		if err := mutex.Lock(); errors.As(err, &taken) || errors.Is(err, redsync.ErrFailed) {
			return nil, errBusy
		} else if err != nil {
			return nil, err
		}
		return func() (bool, error) {
			released, err := mutex.Unlock()
			if errors.As(err, &taken) {
				return false, nil
			}
			return released, err
		}, nil
	}
}

func withRedislock(client *redis.Client) library {
	locks := redislock.New(client)
	return func(name string, ttl, wait time.Duration) (func() (bool, error), error) {
		ctx, cancel := context.WithTimeout(context.Background(), wait+time.Minute)
		defer cancel()
		retry := redislock.LimitRetry(redislock.LinearBackoff(retryDelay), int(wait/retryDelay))
		lock, err := locks.Obtain(ctx, name, ttl, &redislock.Options{RetryStrategy: retry})
		if errors.Is(err, redislock.ErrNotObtained) {
			return nil, errBusy
		} else if err != nil {
			return nil, err
		}
		return func() (bool, error) {
			err := lock.Release(context.Background())
			if errors.Is(err, redislock.ErrLockNotHeld) {
				return false, nil
			}
			return true, err
		}, nil
	}
}

type peer struct {
	lock  library
	locks map[string]func() (bool, error)
}

func (p *peer) acquire(name, ttl, wait string) (string, error) {
	var ms [2]time.Duration
	for at, text := range []string{ttl, wait} {
		number, err := strconv.Atoi(text)
		if err != nil {
			return "", err
		}
		ms[at] = time.Duration(number) * time.Millisecond
	}
	unlock, err := p.lock(name, ms[0], ms[1])
	if errors.Is(err, errBusy) {
		return "busy", nil
	} else if err != nil {
		return "", err
	}
	p.locks[name] = unlock
	return "granted", nil
}

func (p *peer) release(name string) (string, error) {
	released, err := p.locks[name]()
	delete(p.locks, name)
	if err != nil {
		return "", err
	}
	if released {
		return "released", nil
	}
	return "gone", nil
}

func (p *peer) answer(words []string) (string, error) {
	switch {
	case len(words) == 3 && words[0] == "lock":
		return p.acquire(words[1], words[2], "0")
	case len(words) == 4 && words[0] == "wait":
		return p.acquire(words[1], words[2], words[3])
	case len(words) == 2 && words[0] == "unlock" && p.locks[words[1]] != nil:
		return p.release(words[1])
	}
	return "", errors.New("unknown")
}

func version(name string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if strings.Contains(dep.Path, "/"+name) {
				return dep.Version
			}
		}
	}
	return "unknown"
}

func main() {
	client := redis.NewClient(&redis.Options{Addr: strings.TrimPrefix(os.Getenv("PEER_STORE"), "redis://")})
	libraries := map[string]func(*redis.Client) library{"redsync": withRedsync, "redislock": withRedislock}
	name := os.Args[1]
	p := peer{libraries[name](client), map[string]func() (bool, error){}}
	fmt.Println("ready", name, version(name))
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
