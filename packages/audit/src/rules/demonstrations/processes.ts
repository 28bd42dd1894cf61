// What is seen when processes start, stop, are several, are asked what they should refuse, or are built where only the repository is.

import { type Demonstration, proxyBefore, REFUSE } from './demonstration.ts'

export const OF_PROCESSES = {
  'term-under-load': {
    title: 'SIGTERM while requests are under way',
    steps: [
      'Cause this so often that some are always under way, one of them by way of something that never answers: REQUEST.',
      '$ docker compose kill -s TERM SERVICE',
    ],
    expected: 'requests under way are cut off, or it never ends and is killed',
    mended: 'new ones are refused, those under way are answered, and it exits with 0 within its limit',
  },
  'two-replicas': {
    title: 'Two replicas, or one that was started anew',
    steps: [
      '$ docker compose up -d --scale SERVICE=2',
      'Cause this at one and ask the other, or restart it in between: REQUEST.',
    ],
    expected: 'the other knows nothing of it: state is missing, limits count anew',
    mended: 'both say the same',
  },
  'lost-cache': {
    title: 'The store forgets',
    steps: [
      '$ redis-cli flushall',
      'Or fill it beyond its maxmemory:',
      '$ redis-benchmark -q -t set -r 1000000 -n 1000000 -d 100',
      'Ask for what was there.',
    ],
    expected: 'it is said not to exist',
    mended: 'it is read from where else it is written; what keeps state refuses new writes instead of forgetting',
  },
  'guard-at-its-strictest': {
    title: 'A guard, set to its strictest',
    steps: [
      'Set the guard to stop at the first chance (one failure, one call, one millisecond).',
      'Give it that chance twice: REQUEST.',
    ],
    expected: 'nothing changes: it is not asked, or can not say no',
    mended: 'it stops the second one',
  },
  'walked-path': {
    title: 'The path is walked once',
    steps: ['Cause this, with what it needs made to fail where the finding says so: REQUEST.', 'Read the log.'],
    expected: 'an exception that is not about the request: the work is not done, and what is told is something else',
    mended: 'the work is done, or its own failure is told',
  },
  gauge: {
    title: 'A gauge, after failures',
    steps: [
      'Cause this so that it fails, a hundred times, and wait until nothing is under way: REQUEST.',
      '$ curl -s HOST:PORT/metrics',
    ],
    expected: 'a number of things under way that are not, or no metrics at all',
    mended: '0',
  },
  'foreign-origin': {
    title: 'Asked by the page of somebody else',
    steps: [`$ curl -sS -i -H 'Origin: https://elsewhere.example' HOST:PORT/PATH | grep -i access-control`],
    expected: 'an access-control-allow-origin that fits: that page may read the answer',
    mended: 'none',
  },
  'forged-input': {
    title: 'Input that nobody expects',
    steps: ["Cause this with the value ' or '1'='1 in it, or with a token signed by somebody else: REQUEST."],
    expected: 'more than was asked for, or more than one may see',
    mended: 'nothing, or 4xx',
  },
  'telling-error': {
    title: 'The answer to a failure, read by somebody outside',
    steps: [...proxyBefore('DEPENDENCY'), REFUSE, 'Cause this and read the whole answer: REQUEST.'],
    expected: 'texts of exceptions: addresses, statements, names of what is inside',
    mended: 'a code, and nothing of the inside',
  },
  'nobodys-certificate': {
    title: 'A certificate that nobody vouches for',
    steps: [
      '$ openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem',
      '$ openssl s_server -accept 8443 -key key.pem -cert cert.pem -www',
      'Point SERVICE to https://localhost:8443 and cause this: REQUEST.',
    ],
    expected: 'it talks to it',
    mended: 'it refuses to',
  },
  'unset-at-start': {
    title: 'Started without the variable',
    steps: [
      'Take the variable out of the environment and every .env file.',
      '$ docker compose up -d SERVICE',
      '$ docker compose ps -a SERVICE',
    ],
    expected: 'it runs, with a value that everybody can read in the repository or with none; or breaks later',
    mended: 'it refuses to start, and names the variable',
  },
  'clean-checkout': {
    title: 'Built and started where only the repository is',
    steps: [
      '$ git clone . /tmp/clean && cd /tmp/clean',
      '$ docker compose build SERVICE',
      '$ docker compose up SERVICE',
    ],
    expected: 'the build ends with an error, or the process exits at its first lines',
    mended: 'it starts',
  },
  'asked-inside': {
    title: 'Asked inside of the container',
    steps: ["$ docker compose exec SERVICE sh -c 'command -v curl wget; getent hosts DEPENDENCY; env'"],
    expected: 'the command, the name or the variable that the finding is about is not there',
    mended: 'it is',
  },
  'asked-from-outside': {
    title: 'Asked from another machine',
    steps: ['$ nc -zv HOST PORT'],
    expected: 'it connects',
    mended: 'it is refused',
  },
  'path-handed-on': {
    title: 'The path that arrives behind a proxy',
    steps: [
      'Ask the proxy for a path and more below it, and read in the log of DEPENDENCY which path arrived: REQUEST.',
    ],
    expected: 'another one: its beginning or its rest is missing',
    mended: 'the one that was asked for',
  },
  'killed-instance': {
    title: 'One instance is killed',
    steps: [
      `$ sudo kill -9 "$(docker inspect -f '{{.State.Pid}}' "$(docker compose ps -q SERVICE)")"`,
      'In Kubernetes:',
      '$ kubectl delete pod -l app=SERVICE',
      'Send requests all the while.',
    ],
    expected: 'they fail until somebody starts it, or until the new one is up',
    mended: 'it is started again by itself, and others answer meanwhile',
  },
  'frozen-instance': {
    title: 'One instance is frozen',
    steps: [
      `$ sudo kill -STOP "$(docker inspect -f '{{.State.Pid}}' "$(docker compose ps -q SERVICE)")"`,
      'Wait a minute.',
      '$ docker compose ps SERVICE',
    ],
    expected: 'it is still said to be running, and still gets requests',
    mended: 'it is said to be unhealthy, and gets none',
  },
  'made-anew': {
    title: 'A container is made anew',
    steps: ['Write something.', '$ docker compose down && docker compose up -d', 'Read it.'],
    expected: 'it is gone',
    mended: 'it is there',
  },
} as const satisfies Record<string, Demonstration>
