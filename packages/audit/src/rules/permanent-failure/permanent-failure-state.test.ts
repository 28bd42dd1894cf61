import { describe, expect, it } from 'vitest'
import { readPython } from '../../readers/python/index.ts'
import { readTypeScript } from '../../readers/typescript/index.ts'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import type { Repository } from '../../repository/repository.ts'
import { permanentFailureState } from './permanent-failure-state.ts'

/** `tier line` of what is found in these files. */
function found(files: Readonly<Record<string, string>>): string[] {
  const facts = new Map(
    Object.entries(files).map(([path, source]) => [
      path,
      path.endsWith('.py') ? readPython(path, source) : readTypeScript(path, source),
    ]),
  )
  // Nothing but facts is asked of it.
  const repository = { facts } as unknown as Repository
  return [...permanentFailureState.run(repository)].map(({ tier, evidence }) => `${tier} ${evidence[0]?.loc?.line}`)
}

const python = (source: string): string[] => found({ 'a.py': source })

const LINK = (more = ''): string => `class Link:
    def __init__(self):
        self.up = False

    async def start(self):
        try:
            await self.dial()
            self.up = True
        except Exception:
            self.up = False

    async def dial(self):
        pass

    async def send(self, item):
        if not self.up:
            return None
        return await self.write(item)
${more}`

describe('a flag that an error sets', () => {
  it('JN3: is found where only start-up sets it back', () => {
    expect(python(LINK())).toEqual(['strong 10'])
    const main = 'from a import Link\nlink = Link()\n\nasync def lifespan():\n    await link.start()\n'
    expect(found({ 'a.py': LINK(), 'main.py': main })).toEqual(['strong 10'])
  })

  it('JN3: is not where a loop that waits, a callback or a request sets it back', () => {
    expect(
      python(
        LINK(
          '\n    async def watch(self):\n        while True:\n            await asyncio.sleep(5)\n            await self.start()\n\n    def start_watching(self):\n        asyncio.create_task(self.watch())\n',
        ),
      ),
    ).toEqual([])
    expect(
      python(LINK('\n    async def fetch(self):\n        if not self.up:\n            await self.start()\n')),
    ).toEqual([])
    expect(python(LINK('\n    def arm(self):\n        scheduler.add_job(self.start)\n'))).toEqual([])
    expect(
      found({ 'a.py': LINK(), 'b.py': 'from a import Link\nlink = Link()\n\ndef answer():\n    link.start()\n' }),
    ).toEqual([])
  })

  it('JN3: is not where nothing refuses by it, or where the process never comes up with it', () => {
    expect(python(LINK().replace('if not self.up:', 'if not item:'))).toEqual([])
    expect(
      python(LINK().replace('            self.up = False', '            self.up = False\n            raise')),
    ).toEqual([])
    expect(
      python(
        'try:\n    import fast\n    HAS = True\nexcept ImportError:\n    HAS = False\n\ndef f():\n    if not HAS:\n        return None\n',
      ),
    ).toEqual([])
  })

  it('JN3: is not where it says that something is over, failed or not', () => {
    const flagged = (name: string, tried: string): string => `class Page:
    def __init__(self):
        self.${name} = False

    def send(self, item):
        if self.${name}:
            raise Gone()
        try:
            self.write(item)
            ${tried}
        except Exception:
            self.${name} = True
`
    expect(python(flagged('broken', 'pass'))).toEqual(['strong 12'])
    expect(python(flagged('broken', 'self.broken = True'))).toEqual([])
    expect(python(flagged('closed', 'pass'))).toEqual([])
  })

  it('JN3: is found as a client of the module, in both languages', () => {
    const client = `client = None

def init():
    global client
    try:
        client = connect_to("x")
        client.ping()
    except Exception:
        client = None

def get(key):
    if client:
        return client.get(key)
    return None
`
    expect(python(client)).toEqual(['strong 9'])
    const typescript = `export class Cache {
  private ready = false
  async init() {
    try {
      await this.dial()
      this.ready = true
    } catch (error) {
      this.ready = false
    }
  }
  get(key: string) {
    if (!this.ready) return undefined
    return this.read(key)
  }
}
`
    expect(found({ 'a.ts': typescript })).toEqual(['strong 8'])
    const healed = typescript.replace(
      '  get(key',
      "  listen() { this.client.on('ready', () => { this.ready = true }) }\n  get(key",
    )
    expect(found({ 'a.ts': healed })).toEqual([])
  })
})

describe('a breaker', () => {
  const breaker = (guard: string): string => `class Breaker:
    def __init__(self):
        self.is_open = False
        self.opened_at = None

    def reset(self):
        self.is_open = False

    def call(self, work):
        if self.is_open:
${guard}
            raise Refused()
        try:
            return work()
        except Exception:
            self.is_open = True
            raise
`
  it('JN3: is found without a way to half-open, and not with one', () => {
    const shut = breaker('            log.warning("open")')
    expect(python(shut)).toEqual(['strong 16'])
    // What success would set back is behind the guard, where nothing arrives any more.
    expect(python(shut.replace('return work()', 'result = work()\n            self.is_open = False'))).toEqual([
      'strong 17',
    ])
    const half = breaker('            if time.time() - self.opened_at > 30:\n                self.is_open = False')
    expect(python(half)).toEqual([])
    expect(python(`${half}\nbreaker = Breaker()\n\ndef start():\n    breaker.call(work)\n`)).toEqual([])
  })
})

describe('a shutdown', () => {
  const pool = `class Pool:
    def __init__(self):
        self._setup()

    def _setup(self):
        self.closed = False

    def take(self):
        if self.closed:
            raise Closed()
        return self.free.pop()

    def close(self):
        self.closed = True
`
  it('JN3: that only the constructor undoes is for review', () => {
    expect(python(pool)).toEqual(['review 14'])
    expect(python(`${pool}\n    def open(self):\n        self.closed = False\n`)).toEqual([])
  })
})

describe('work and connections that failed', () => {
  const queue = (last: string): string => `class Jobs:
    async def next(self):
        return await self.store.rpop("jobs")

    async def failed(self, job):
        job.tries += 1
        if job.tries < job.tries_max:
            await self.again(job)
        else:
            await self.give_up(job)

    async def give_up(self, job):
        job.status = Status.FAILED
        ${last}
`
  it('JN3: are found where the last attempt leads nowhere', () => {
    expect(python(queue('await self.tell(job)'))).toEqual(['strong 13'])
    expect(python(queue('await self.store.lpush("x", self.to_dead_letter(job))'))).toEqual([])
  })

  const links = (body: string): string => `class Links:
    async def open(self, link):
        try:
            await link.dial()
        except Exception as error:
            link.status = Status.FAILED
            raise Broken(str(error))

    async def reconnect(self, link):
        settings = self.settings(link.name)
        await self.open(link)

    def settings(self, name):
        ${body}
`
  it('JN3: are found where reconnecting is not implemented', () => {
    expect(python(links('raise NotImplementedError("later")'))).toEqual(['strong 6'])
    expect(python(links('return self.all[name]'))).toEqual([])
  })
})

describe('a strategy of reconnecting', () => {
  const redis = (body: string, more = ''): string => `import Redis from 'ioredis'
export const redis = new Redis({ retryStrategy: (times) => {
  ${body}
} })
${more}`
  it('JN3: is found where it ends, and not where it goes on or the end is heard', () => {
    const ends = 'if (times > 3) return null\n  return times * 100'
    expect(found({ 'a.ts': redis(ends) })).toEqual(['strong 3'])
    expect(found({ 'a.ts': redis('return times > 3 ? null : 100') })).toEqual(['strong 3'])
    expect(found({ 'a.ts': redis('return Math.min(times * 100, 3000)') })).toEqual([])
    expect(found({ 'a.ts': redis('if (times > 3) process.exit(1)\n  return null') })).toEqual([])
    expect(found({ 'a.ts': redis(ends, "redis.on('end', () => restart())") })).toEqual([])
  })
})

describe('what a module gets when it is loaded', () => {
  const module = (handler: string, use = 'if (!enforce) return refuse()'): string => `let enforce
try {
  const loaded = await import(place)
  enforce = loaded.enforce
} catch (error) {
  ${handler}
}
export function evaluate(rule) {
  ${use}
  return enforce(rule)
}
`
  it('JN3: is found where the attempt only tells that it failed, and something refuses by it', () => {
    expect(found({ 'a.ts': module('console.error(error)') })).toEqual(['strong 5'])
    expect(found({ 'a.ts': module('process.exit(1)') })).toEqual([])
    expect(found({ 'a.ts': module('throw error') })).toEqual([])
    expect(found({ 'a.ts': module('console.error(error)').replace('catch (error)', 'finally') })).toEqual([])
    expect(found({ 'a.ts': module('console.error(error)', 'log(rule)') })).toEqual([])
    expect(found({ 'a.ts': module('console.error(error)').replace('place', "'sharp'") })).toEqual([])
    expect(found({ 'a.ts': `${module('console.error(error)')}export function again() { enforce = load() }` })).toEqual(
      [],
    )
    const page = `import { getMessaging } from 'firebase/messaging'\n${module('console.error(error)')}`
    expect(found({ 'a.ts': page })).toEqual(['review 6'])
    const client =
      'client = None\ntry:\n    client = dial("x")\nexcept OSError:\n    log("down")\n\ndef get(key):\n    if client is None:\n        return None\n    return client.get(key)\n'
    expect(python(client)).toEqual(['strong 4'])
    expect(python(client.replace('OSError', 'ImportError'))).toEqual([])
  })
})

describe('what only looks like it', () => {
  it('JN3: an answer that is kept, an object of one request, and a script are silent', () => {
    const kept =
      'let can: boolean | undefined\nexport function canRun() {\n  if (can !== undefined) return can\n  try {\n    can = probe()\n  } catch {\n    can = false\n  }\n  return can\n}\n'
    expect(found({ 'a.ts': kept })).toEqual([])
    const stopped =
      'class UserSession:\n    def __init__(self):\n        self.closed = False\n    def send(self):\n        if self.closed:\n            raise Closed()\n    def close(self):\n        self.closed = True\n'
    expect(python(stopped)).toEqual([])
    expect(python(stopped.replace('UserSession', 'Pool'))).toEqual(['review 8'])
    expect(found({ 'scripts/a.ts': "import Redis from 'ioredis'\nnew Redis({ retryStrategy: () => null })" })).toEqual(
      [],
    )
  })

  it('JN3: what is switched off for want of a setting is silent, and what lasts as long as a page is for review', () => {
    const service = (name: string): string =>
      `class Sms:\n    def __init__(self):\n        self.${name} = True\n        self.init()\n    def init(self):\n        try:\n            self.dial()\n        except Exception:\n            self.${name} = False\n    def send(self):\n        if not self.${name}:\n            return None\n        return 1\n`
    expect(python(service('usable'))).toEqual(['strong 9'])
    expect(python(service('enabled'))).toEqual([])
    const page =
      'let broken = false\nexport function draw() {\n  if (broken) return null\n  try {\n    return window.open("x")\n  } catch {\n    broken = true\n  }\n}\n'
    expect(found({ 'a.ts': page })).toEqual(['review 7'])
    expect(found({ 'a.ts': page.replace('window.open', 'other.open') })).toEqual(['strong 7'])
  })
})

describe('marks of being busy', () => {
  const poller = (body: string, more = ''): string[] =>
    found({
      'a.ts': `class Poller {
  private busy = false
  async round() {
    if (this.busy) return
    this.busy = true
    ${body}
  }
  async start() {
    try {
      await this.round()
    } catch (error) {
      console.error(error)
    }
  }
${more}}`,
    })

  it('JN4: one that stays where the work fails is found', () => {
    expect(poller('await fetch(url); this.busy = false')).toEqual(['strong 5'])
    expect(poller('for (const x of xs) await send(x)\n    this.busy = false')).toEqual(['strong 5'])
    const dropped =
      'let busy = false\nexport async function round() {\n  if (busy) return\n  busy = true\n  await work()\n  busy = false\n}'
    expect(found({ 'a.ts': dropped })).toEqual(['review 4'])
    expect(
      python(
        'class A:\n    def __init__(self):\n        self.busy = False\n    async def go(self):\n        if self.busy:\n            return\n        self.busy = True\n        await self.work()\n        self.busy = False\n',
      ),
    ).toEqual(['strong 7'])
  })

  it('JN4: one that is taken away whatever happens, or by others, is silent', () => {
    expect(poller('try { await fetch(url) } finally { this.busy = false }')).toEqual([])
    expect(poller('try { await fetch(url) } catch { log() }\n    this.busy = false')).toEqual([])
    expect(poller('await fetch(url).finally(() => { this.busy = false })')).toEqual([])
    expect(poller('await fetch(url); this.busy = false', '  reset() { this.busy = false }\n')).toEqual([])
    expect(poller('this.count = 1; this.busy = false')).toEqual([])
    expect(poller('await sleep(5); this.busy = false')).toEqual([])
    expect(poller('await new Promise((done) => setTimeout(done, 5)); this.busy = false')).toEqual([])
  })
})

describe('clients that end', () => {
  it('JN3: are named where a function makes them', () => {
    const texts = {
      'a.ts': "import Redis from 'ioredis'\nexport const dial = () => new Redis({ retryStrategy: () => null })",
      'b.ts': "import { dial } from './a'\nexport const client = dial()",
    }
    expect(found(texts)).toEqual(['strong 2'])
    const { facts } = repositoryOf(texts)
    const [discovery] = [...permanentFailureState.run({ facts } as never)]
    expect(discovery?.evidence.map(({ loc }) => `${loc?.file}:${loc?.line}`)).toEqual(['a.ts:2', 'b.ts:2'])
  })
})

describe('QL21: loops in the background', () => {
  const hub = (body: string, more = ''): string =>
    `import asyncio\nclass Hub:\n    async def start(self):\n        self.task = asyncio.create_task(self._run())${more}\n    async def _run(self):\n${body.replace(/^/gm, '        ')}\n`
  const logs = '\nexcept Exception as e:\n    logger.error(f"ended: {e}")'
  const listens = 'try:\n    async for message in self.feed.listen():\n        self.take(message)'
  it.each([
    ['a connection that is listened to', hub(listens + logs), ['strong 9']],
    ['what comes before it', hub(`try:\n    await self.open()\n    while True:\n        tick()${logs}`), ['strong 10']],
    ['what is within it', hub(`try:\n    while True:\n        await self.work()${logs}`), ['strong 9']],
    [
      'handled within',
      hub(
        `try:\n    while True:\n        try:\n            await self.work()\n        except Exception as e:\n            logger.error(e)${logs}`,
      ),
      [],
    ],
    ['around which it begins anew', hub(`while True:\n    ${(listens + logs).replace(/\n/g, '\n    ')}`), []],
    ['which throws on', hub(`${listens}${logs}\n    raise`), []],
    ['that is started again', hub(`${listens}${logs}\n    self.restart()`), []],
    ['whose end is watched', hub(listens + logs, '\n        self.task.add_done_callback(self.ended)'), []],
    ['of one connection', hub(listens + logs).replace('def start(self)', 'def start(self, websocket)'), []],
    ['started by what runs often', hub(listens + logs).replace('def start(self)', 'def watch(self)'), []],
    ['that is waited for', hub(listens + logs).replace('asyncio.create_task(self._run())', 'await self._run()'), []],
  ])('%s', (_name, source, expected) => {
    expect(python(source)).toEqual(expected)
  })
})
