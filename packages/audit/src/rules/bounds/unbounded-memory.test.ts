import { describe, expect, it, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { unboundedMemory } from './unbounded-memory.ts'

const found = (texts: Readonly<Record<string, string>>): readonly string[] => foundIn(unboundedMemory, texts)

const EXPRESS = "import express from 'express'\nconst app = express()\n"
/** Line 3 declares; the route of line 4 runs `body`. */
const express = (declared: string, body: string, more = ''): readonly string[] =>
  found({ 'src/a.js': `${EXPRESS}${declared}\napp.post('/x/:id', (req, res) => { ${body}; res.end() })\n${more}` })

const FASTAPI = 'from fastapi import FastAPI\napp = FastAPI()\n'
const fastapi = (declared: string, body: string, more = ''): readonly string[] =>
  found({
    'src/a.py': `${FASTAPI}${declared}\n@app.post("/x/{id}")\ndef take(id: str, item: dict):\n    ${body}\n\n${more}`,
  })

describe('a container of a module', () => {
  test.each([
    ['const seen = new Map()', 'seen.set(req.params.id, req.body)'],
    ['const seen = new Set()', 'const key = hash(req.body.text); seen.add(key)'],
    ['const log = []', 'log.push(req.body)'],
    ['const seen = {}', 'seen[req.params.id] = req.body'],
    ['const facts = new Map()', 'const of = facts.get(req.params.id) ?? []; of.push(1)'],
    ['const groups = { a: new Map() }', 'groups.a.get(req.params.id).push(req.body)'],
    ['const jobs = new Map()', 'const id = randomUUID(); jobs.set(id, req.body)'],
  ])('BD5: %s grows by %s', (declared, body) => {
    expect(express(declared, body)).toEqual(['strong 4'])
  })

  test.each([
    ['seen = {}', 'seen[id] = item'],
    ['seen = set()', 'seen.add(id)'],
    ['log = []', 'log.append(item)'],
    ['by_key = defaultdict(list)', 'by_key[id].append(item)'],
    ['log = deque()', 'log.append(item)'],
  ])('BD5: in Python %s grows by %s', (declared, body) => {
    expect(fastapi(declared, body)).toEqual(['strong 6'])
  })

  test.each([
    ['const log = []', 'log.push(req.body); if (log.length > 100) log.shift()'],
    ['const seen = new Map()', 'if (seen.size >= MAX) return; seen.set(req.params.id, 1)'],
    ['let log = []', 'log.push(req.body); log = log.slice(-100)'],
    ['const open = new Map()', 'open.set(req.params.id, 1); work(() => open.delete(req.params.id))'],
    ['const few = new Map()', 'few.set(req.body.language, 1)'],
    ['const once = new Map()', "once.set('all', req.body)"],
    ['const seen = new Map()', 'if (seen.has(req.params.id)) seen.set(req.params.id, 2)'],
    ['const seen = new LRUCache({ max: 5 })', 'seen.set(req.params.id, 1)'],
    ['', 'const own = new Map(); own.set(req.params.id, 1)'],
    ['const lists = new Map()', "lists.set('a', lists.get('a').slice(-9))"],
  ])('BD1, BD5: %s with %s is bounded, emptied, short-lived or small', (declared, body) => {
    expect(express(declared, body)).toEqual([])
  })

  test.each([
    ['log = deque(maxlen=10)', 'log.append(item)'],
    ['last = defaultdict(lambda: deque(maxlen=10))', 'last["all"].append(item)'],
    ['log = []', 'log.append(item)\n    del log[:-10]'],
    ['tasks = set()', 'tasks.add(id)\n    later(tasks.discard)'],
    ['times = {}', 'times["a"].append(1)\n    times["a"] = [t for t in times["a"] if t > 5]'],
    ['seen = {}', 'seen[id] = item\n    prune(seen)\n\ndef prune(entries):\n    entries.popitem()'],
  ])('BD1, BD5: in Python %s with %s is', (declared, body) => {
    expect(fastapi(declared, body)).toEqual([])
  })

  it('BD2: is not taken for another of the same name', () => {
    const other = 'function other() { const seen = []; seen.pop(); return seen.length > 9 }\n'
    expect(express('const seen = new Map()', 'seen.set(req.params.id, 1)', other)).toEqual(['strong 4'])
  })

  test.each([
    ['initialize', []],
    ['collect', ['strong 8']],
  ])('QL19: what %s adds: %j', (name, expected) => {
    const more = `class Pools:\n    def __init__(self):\n        self.all = []\n    def ${name}(self):\n        for url in urls:\n            self.all.append(connect(url))\n`
    const source = `${FASTAPI}${more}pools = Pools()\n@app.post("/x")\ndef take():\n    pools.${name}()\n`
    expect(found({ 'src/a.py': source })).toEqual(expected)
  })

  test.each([
    ['key = f"sum:{method}"\n    seen[key] = item', []],
    ['key = f"sum:{method}:{id}"\n    seen[key] = item', ['strong 7']],
  ])('BD14: a key is as many as what it is put together from: %j', (body, expected) => {
    const source = `${FASTAPI}seen = {}\n@app.post("/x/{id}")\ndef take(id: str, method: str, item: dict):\n    ${body}\n`
    expect(found({ 'src/a.py': source })).toEqual(expected)
  })

  it('BD5: is emptied by a file that imports it', () => {
    const files = (more: string): Readonly<Record<string, string>> => ({
      'src/store.ts':
        "export const seen = new Map<string, string>()\nexport function keep(id: string) { seen.set(id, '') }\n",
      'src/a.ts': `${EXPRESS}import { keep, seen } from './store'\napp.get('/:id', (req, res) => { keep(req.params.id) })\n${more}`,
    })
    expect(found(files(''))).toEqual(['strong src/store.ts:2'])
    expect(found(files('setInterval(() => seen.clear(), 1000)\n'))).toEqual([])
  })
})

test.each([
  ['req.body.language', []],
  ['req.body.eventType', []],
  ['req.body.chain_id', []],
  ['req.body.modelName', []],
  ['req.body.projectId', ['review 4']],
  ['req.body.filename', ['review 4']],
  ['req.body.username', ['strong 4']],
  ['req.body.userName', ['strong 4']],
  ['req.body.transaction', ['strong 4']],
  [`\`\${req.body.type}:\${req.body.user}\``, ['strong 4']],
  [`\`\${req.body.type}:\${req.body.language}\``, []],
])('BD14: of a map with keys %s there are as many as the name says: %j', (key, expected) => {
  expect(express('const all = new Map()', `all.set(${key}, 1)`)).toEqual(expected)
})

describe('a removal', () => {
  const cache = (more: string): readonly string[] =>
    express('const cache = new Map()', 'cache.set(req.params.id, { value: 1, expiresAt: 5 })', more)
  const expiry = 'const e = cache.get(req.params.id); if (e.expiresAt < Date.now()) cache.delete(req.params.id)'

  test.each([
    ['on read', `app.get('/x/:id', (req, res) => { ${expiry} })\n`],
    ['by hand', "app.post('/cleanup', (req, res) => { for (const k of cache.keys()) cache.delete(k) })\n"],
    ['at shutdown', "process.on('SIGTERM', () => cache.clear())\n"],
    ['called by nobody', 'function sweepAll() { cache.clear() }\n'],
    [
      'on read, or one key',
      `app.get('/x/:id', (req, res) => { ${expiry} })\napp.delete('/x/:id', (req) => { cache.delete(req.params.id) })\n`,
    ],
  ])('BD6: that runs only %s is no bound', (_how, more) => {
    expect(cache(more)).toEqual(['strong 4'])
  })

  test.each([
    [
      'a timer',
      'setInterval(() => { for (const [k, e] of cache) if (e.expiresAt < Date.now()) cache.delete(k) }, 1000)\n',
    ],
    ['the end of what was asked', "app.delete('/x/:id', (req) => { cache.delete(req.params.id) })\n"],
    ['something unknown', 'function sweepAll() { cache.clear() }\nonTick(sweepAll)\n'],
  ])('BD4: by %s is one', (_how, more) => {
    expect(cache(more)).toEqual([])
  })
})

describe('a container of an object', () => {
  const sessions = (made: string, route: string): readonly string[] =>
    found({
      'src/store.py':
        'class Sessions:\n    def __init__(self):\n        self.all = {}\n\n    def begin_one(self, key):\n        self.all[key] = 1\n',
      'src/a.py': `${FASTAPI}from store import Sessions\n${made}\n@app.get("/{key}")\ndef take(key: str):\n    ${route}\n`,
    })

  it('BD3: lives as long as the process where its object is made once, and not where it is made for a request', () => {
    expect(sessions('sessions = Sessions()', 'sessions.begin_one(key)')).toEqual(['strong src/store.py:6'])
    expect(sessions('', 'Sessions().begin_one(key)')).toEqual([])
    expect(sessions('', 'own = Sessions()\n    own.begin_one(key)')).toEqual([])
  })

  it('BD3: is for review where nobody is seen to make it', () => {
    const service = (name: string): readonly string[] =>
      found({
        'src/a.ts': `${EXPRESS}class ${name} {\n  all = new Map<string, number>()\n  beginOne(key: string) { this.all.set(key, 1) }\n}\nexport const route = (one: ${name}) => app.get('/:key', (req, res) => { one.beginOne(req.params.key) })\n`,
      })
    expect(service('SessionStore')).toEqual(['review 5'])
    expect(service('QueryBuilder')).toEqual([])
  })
})

describe('sending to every socket', () => {
  const sockets = (body: string): readonly string[] =>
    found({
      'src/a.ts': `import { WebSocketServer } from 'ws'\nconst wss = new WebSocketServer({ port: 1 })\nfunction tell(text: string) {\n  ${body}\n}\n`,
    })

  it('BD7: is found where nothing looks at what waits', () => {
    expect(sockets('wss.clients.forEach((ws) => { ws.send(text) })')).toEqual(['strong 4'])
    expect(sockets('for (const client of wss.clients) client.send(text)')).toEqual(['strong 4'])
    expect(sockets('for (const ws of wss.clients) if (ws.bufferedAmount < 9) ws.send(text)')).toEqual([])
    expect(sockets('one.send(text)')).toEqual([])
  })
})

test('BD5: what a client does when it is connected is no traffic', () => {
  const kept = (event: string): readonly string[] =>
    found({
      'src/a.js': `const timers = []\nclient.on('${event}', () => { timers.push(setInterval(beat, 5)) })\n`,
    })
  expect(kept('online')).toEqual([])
  expect(kept('connection')).toEqual(['strong 2'])
})

describe('a middleware that counts', () => {
  const limiter = (made: string, body: string): string =>
    `from collections import defaultdict\nfrom starlette.middleware.base import BaseHTTPMiddleware\nclass Limiter(BaseHTTPMiddleware):\n    def __init__(self, app):\n        super().__init__(app)\n        self.seen = ${made}\n    async def dispatch(self, request, call_next):\n        ip = request.client.host\n        ${body}\n        return await call_next(request)\n`
  const counted = (made: string, body: string): readonly string[] =>
    found({
      'src/limits.py': limiter(made, body),
      'src/main.py':
        'from fastapi import FastAPI\nfrom limits import Limiter\napp = FastAPI()\napp.add_middleware(Limiter)\n',
    })
  test.each([
    ['{}', 'self.seen[ip] = self.seen.get(ip, 0) + 1'],
    ['defaultdict(int)', 'self.seen[ip] += 1'],
    [
      'defaultdict(list)',
      'recent = self.seen[ip]\n        while recent and recent[0] < now():\n            recent.pop(0)\n        self.seen[ip].append(now())',
    ],
  ])('QU9, QU10, QU11: %s with %j', (made, body) => {
    expect(counted(made, body)).toEqual([expect.stringMatching(/^strong /)])
  })

  test('QU9: what stands under a key has a bound, and its keys have none', () => {
    const few = 'if len(self.seen[ip]) > 9:\n            return None\n        self.seen[ip] = [*self.seen[ip], 1]'
    expect(counted('{}', few)).toHaveLength(1)
    expect(counted('{}', few.replace('len(self.seen[ip])', 'len(self.seen)'))).toEqual([])
  })

  test.each([
    ['{}', 'if len(self.seen) > 1000:\n            self.seen.clear()\n        self.seen[ip] = 1'],
    ['{}', 'self.seen[request.method] = 1'],
    [
      'defaultdict(list)',
      'self.seen[ip].append(now())\n        for old in list(self.seen):\n            del self.seen[old]',
    ],
  ])('QU9: %s with %j is silent', (made, body) => {
    expect(counted(made, body)).toEqual([])
  })

  test('QU11: what only the constructor does is done once', () => {
    const source = limiter('{}', 'pass').replace('self.seen = {}', 'self.seen = {}\n        self.seen[app] = 1')
    expect(
      found({
        'src/limits.py': source,
        'src/main.py':
          'from fastapi import FastAPI\nfrom limits import Limiter\napp = FastAPI()\napp.add_middleware(Limiter)\n',
      }),
    ).toEqual([])
  })
})
