// npm redlock as a peer: see ../README.md.

import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { Redis } from "ioredis";
import Redlock, { ExecutionError, ResourceLockedError } from "redlock";

const RETRY_DELAY_MS = 50;
const ONCE = { retryCount: 0 };

const client = new Redis(process.env.PEER_STORE);
const redlock = new Redlock([client], { retryDelay: RETRY_DELAY_MS, retryJitter: 0 });
const locks = new Map();

/** Whether every server said no because the lock is another's. A server that cannot be asked looks the same outside. */
async function isTaken(error) {
  if (!(error instanceof ExecutionError)) return false;
  const attempts = await Promise.all(error.attempts);
  const against = attempts.flatMap((stats) => [...stats.votesAgainst.values()]);
  return against.every((vote) => vote instanceof ResourceLockedError);
}

/** Does it; what it answers when all servers agree, and `otherwise` when they say no. */
async function unlessTaken(action, otherwise) {
  try {
    return await action();
  } catch (error) {
    if (await isTaken(error)) return otherwise;
    throw error;
  }
}

async function acquire(name, ttlMs, settings) {
  return unlessTaken(async () => {
    locks.set(name, await redlock.acquire([name], Number(ttlMs), settings));
    return "granted";
  }, "busy");
}

const verbs = {
  lock: (name, ttlMs) => acquire(name, ttlMs, ONCE),
  wait: (name, ttlMs, timeoutMs) =>
    acquire(name, ttlMs, { retryCount: Math.ceil(Number(timeoutMs) / RETRY_DELAY_MS) }),
  unlock: (name) =>
    unlessTaken(async () => {
      await redlock.release(locks.get(name), ONCE);
      return "released";
    }, "gone"),
};

await client.ping();
const { version } = createRequire(import.meta.url)("./node_modules/redlock/package.json");
console.log(`ready redlock ${version}`);
for await (const line of createInterface({ input: process.stdin })) {
  const [verb, ...words] = line.split(" ");
  if (verb === "quit") break;
  try {
    console.log(await verbs[verb](...words));
  } catch (error) {
    console.log(`error ${error}`.replaceAll("\n", " "));
  }
}
client.disconnect();
