// What is seen when something that a service needs is silent, refuses, is slow, or comes back.

import { type Demonstration, HEAL, proxyBefore, REFUSE, SILENCE, toxic } from './demonstration.ts'

const PROXY = proxyBefore('DEPENDENCY')
const HTTP_PROXY = proxyBefore('DEPENDENCY', 'HTTP')

export const OF_DEPENDENCIES = {
  'silent-dependency': {
    title: 'DEPENDENCY takes connections and never answers',
    steps: [...PROXY, SILENCE, 'Cause this and wait a minute: REQUEST.'],
    expected:
      'no answer for as long as the silence lasts; each request holds what it has: connection, memory, lock, worker',
    mended: 'an error with a code within the deadline, and other requests go on',
  },
  'refused-dependency': {
    title: 'DEPENDENCY refuses connections, and its caller is told nothing',
    steps: [...PROXY, REFUSE, 'Cause this, and compare what it says with what DEPENDENCY holds: REQUEST.'],
    expected: 'the answer of success, and no log, metric or alarm of the failure',
    mended: 'the failure reaches whoever asked',
  },
  'refusing-answers': {
    title: 'DEPENDENCY answers 500, then 429',
    steps: [
      ...HTTP_PROXY,
      toxic('http_error', { status: 500 }),
      'Cause this: REQUEST. Once more with 429 in place of 500, and count in the log of DEPENDENCY how often it is called.',
    ],
    expected: 'the body of the refusal goes on as data, or as success; 429 is met with more calls, or given up at once',
    mended: 'a refusal is an error; after 429 the next call comes when it is told to',
  },
  'process-survives': {
    title: 'One failing call, and what becomes of the process',
    steps: [...PROXY, REFUSE, 'Cause this, then ask for anything else: REQUEST.', '$ docker compose ps -a SERVICE'],
    expected: 'the process has exited, and every other request that it had is lost with it; or nobody heard of it',
    mended: 'that request fails, it is told, and the process goes on',
  },
  'outage-and-back': {
    title: 'An outage of a minute, then health again',
    steps: [
      ...PROXY,
      REFUSE,
      'Cause this again and again, for a minute: REQUEST.',
      HEAL,
      'The same for another minute.',
    ],
    expected: 'it goes on failing although DEPENDENCY is back; only a restart helps',
    mended: 'it works again within seconds, by itself',
  },
  'counted-attempts': {
    title: 'Attempts, counted where they arrive',
    steps: [
      ...HTTP_PROXY,
      toxic('http_error', { status: 503 }),
      'Cause this once, then of several clients at once: REQUEST. Read in the log of DEPENDENCY how many attempts came, and when.',
    ],
    expected: 'attempts without end, without a pause, at even distances, or of all clients together',
    mended: 'a few, with pauses that grow and differ',
  },
  'occupied-pool': {
    title: 'Every connection of a pool is taken',
    steps: [...PROXY, SILENCE, 'Cause this as often at once as the pool has connections, then once more: REQUEST.'],
    expected: 'the last one waits as long as the ones before it, without an end of its own',
    mended: 'it is refused after the bound, with a code',
  },
  'counted-connections': {
    title: 'Connections, counted where they arrive',
    steps: [
      'Cause this a hundred times, one after the other: REQUEST.',
      "$ ss -Htn state time-wait '( dport = :PORT )' | wc -l",
    ],
    expected: 'about as many connections to DEPENDENCY as requests',
    mended: 'one, or as many as a pool keeps',
  },
  'health-in-an-outage': {
    title: 'Health, asked while DEPENDENCY is away',
    steps: [...PROXY, REFUSE, "$ curl -s -w '%{http_code}\\n' HOST:PORT/health"],
    expected: 'healthy, or at least status 200: nothing takes the service out or restarts it',
    mended: 'status 503, and it names DEPENDENCY',
  },
  'dispensable-dependency': {
    title: 'Something that requests could do without is away',
    steps: [...PROXY, REFUSE, 'Cause this, and ask for readiness: REQUEST.'],
    expected: 'everything is refused because of it; a limiter instead lets everything through',
    mended: 'requests go on, worse in a way that is seen, and limits still hold',
  },
  stampede: {
    title: 'A key runs out while many ask for it',
    steps: [
      'Empty the cache of that key:',
      '$ redis-cli del KEY',
      'Cause this fifty times at once: REQUEST.',
      '$ seq 50 | xargs -P 50 -I @ curl -s HOST:PORT/PATH',
      'Count in the log of DEPENDENCY how often it was asked.',
    ],
    expected: 'about as often as there were requests',
    mended: 'once',
  },
  'slow-round': {
    title: 'A round of a timer that takes longer than its interval',
    steps: [
      ...PROXY,
      toxic('latency', { latency: 60_000 }),
      'Let that be longer than the interval, and count what is under way: REQUEST.',
    ],
    expected: 'a further round with every interval, all of them at work on the same things',
    mended: 'one',
  },
  'open-transaction': {
    title: 'A transaction that is open while it waits for somebody else',
    steps: [
      ...PROXY,
      SILENCE,
      'Cause this: REQUEST.',
      `$ psql -c "select pid, now() - xact_start from pg_stat_activity where state = 'idle in transaction'"`,
    ],
    expected: 'a row that gets older: its locks and its connection are held for as long as the silence lasts',
    mended: 'no row',
  },
  'slow-start': {
    title: 'SERVICE starts before DEPENDENCY answers',
    steps: [
      '$ docker compose stop DEPENDENCY',
      '$ docker compose up -d --no-deps SERVICE',
      'Wait half a minute.',
      '$ docker compose start DEPENDENCY',
      '$ docker compose ps -a SERVICE',
    ],
    expected: 'SERVICE has exited, or runs without what it needs, and stays so',
    mended: 'it waits, or is started when DEPENDENCY is healthy, and then serves by itself',
  },
} as const satisfies Record<string, Demonstration>
