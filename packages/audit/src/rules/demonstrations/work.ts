// What is seen when work comes together, comes twice, is cut off, or is more than there is room for.

import { type Demonstration, proxyBefore, toxic } from './demonstration.ts'

export const OF_WORK = {
  'same-moment': {
    title: 'Two requests for the same thing at the same moment',
    steps: [
      'Cause this fifty times at once, for one and the same thing: REQUEST.',
      '$ seq 50 | xargs -P 50 -I @ curl -s -X POST HOST:PORT/PATH',
      'Compare what was accepted with what is stored.',
    ],
    expected: 'more are accepted than may be, or fewer are stored than were accepted',
    mended: 'what is stored is what was accepted; the others are told of the conflict',
  },
  'same-again': {
    title: 'The same request or message, twice',
    steps: [
      ...proxyBefore('SERVICE', 'HTTP'),
      toxic('http_duplicate'),
      'Cause this once, or publish a message twice under one id: REQUEST. Count the effects.',
    ],
    expected: 'two effects, or the first one overwritten',
    mended: 'one, and the second is told so',
  },
  'killed-midway': {
    title: 'Killed between taking work and finishing it',
    steps: [
      'Cause this: REQUEST. While it is under way:',
      '$ docker compose kill -s KILL SERVICE',
      '$ docker compose up -d SERVICE',
      'Look for the work: in the queue, in the database, among the locks.',
    ],
    expected: 'it is neither done nor waiting anywhere, or half of it is done; a lock that it held stays',
    mended: 'it is done once the service is back, and no lock is left',
  },
  'failing-work': {
    title: 'A message whose work always fails',
    steps: [
      'Cause this with something that can not be worked on: REQUEST.',
      'Look for it in the queue and among dead letters.',
    ],
    expected: 'it is nowhere, or where nobody looks',
    mended: 'it comes again, and after its last attempt lies among dead letters',
  },
  'outlived-key': {
    title: 'Unfinished work waits longer than its key lives',
    steps: [
      'Cause this, and stop what would finish it: REQUEST.',
      '$ redis-cli ttl KEY',
      'Wait for as long as that says, then let it go on.',
    ],
    expected: 'the key is gone and the work with it',
    mended: 'the work is still there',
  },
  'client-away': {
    title: 'A client that is away for a moment',
    steps: [
      'Connect a client, cut it off, and let something happen that it should hear of: REQUEST.',
      'Connect it again.',
    ],
    expected: 'it never hears of what happened in between',
    mended: 'it asks for what it missed, and gets it in order',
  },
  'receiver-gone': {
    title: 'One of several receivers is gone',
    steps: [
      'Connect three receivers, and end the first one abruptly.',
      'Cause what all of them should hear of: REQUEST.',
    ],
    expected: 'those after the one that is gone get nothing',
    mended: 'all the others get it',
  },
  'busy-process': {
    title: 'A second request while the first one computes',
    steps: [
      'Cause this with much to do: REQUEST.',
      'While it runs:',
      "$ curl -s -w '%{time_total}\\n' HOST:PORT/health",
    ],
    expected: 'nothing at all is answered until the first one is done',
    mended: 'an answer at once',
  },
  'counted-keys-commands': {
    title: 'Commands that walk through all of Redis, counted by it',
    steps: [
      '$ redis-cli config resetstat',
      'Cause this: REQUEST.',
      "$ redis-cli info commandstats | grep -i 'cmdstat_keys\\|cmdstat_scan'",
    ],
    expected:
      'cmdstat_keys: one call looks at every key, and everybody waits meanwhile; it takes longer with every key',
    mended: 'only cmdstat_scan, or neither',
  },
  flood: {
    title: 'A flood of distinct keys, with memory watched',
    steps: [
      'Cause this a hundred thousand times, each time with another key, id or client, while nobody takes anything away: REQUEST.',
      '$ ps -o rss= -p PID',
    ],
    expected: 'memory grows with the number of keys, and a minute afterwards has not come back',
    mended: 'it levels off: the oldest are given up, or new ones refused',
  },
  oversized: {
    title: 'A body of any size',
    steps: [
      "$ head -c 500M /dev/zero | curl -s -o /dev/null -w '%{http_code}\\n' -X POST --data-binary @- HOST:PORT/PATH",
    ],
    expected: 'all of it is taken into memory',
    mended: '413 (of a WebSocket: 1009) long before the end',
  },
  'long-list': {
    title: 'A list that is a thousand times longer',
    steps: [
      'Fill what it works on with a hundred thousand items, and cause this: REQUEST.',
      'Count at DEPENDENCY what is under way at once.',
    ],
    expected: 'as much at once as there are items',
    mended: 'never more than a bound',
  },
  burst: {
    title: 'Two hundred attempts within a second',
    steps: [
      "$ seq 200 | xargs -P 20 -I @ curl -s -o /dev/null -w '%{http_code}\\n' -X POST HOST:PORT/PATH | sort | uniq -c",
    ],
    expected: 'every single one is worked on',
    mended: '429 for all but the first few',
  },
} as const satisfies Record<string, Demonstration>
