import { describe, expect, it } from 'vitest'
import type { FileFacts } from '../../facts/facts.ts'
import { readPython } from './index.ts'

const read = (source: string): FileFacts => readPython('a.py', source)
const callees = ({ calls }: FileFacts): string[] => calls.map(({ callee }) => callee.text)

/** Every index in facts names something that is there, and lines are in the file. */
function isWhole({ blocks, calls, assignments, exits, envReads, classes, lines }: FileFacts): boolean {
  const isBlock = (index: number): boolean => index >= 0 && index < blocks.length
  const places = [...calls, ...assignments, ...exits, ...envReads]
  return (
    places.every(({ block, line, endLine }) => isBlock(block) && line >= 1 && endLine >= line && endLine <= lines) &&
    blocks.every(
      ({ parent, of }, at) => (at === 0 ? parent === -1 : isBlock(parent)) && (of === undefined || isBlock(of)),
    ) &&
    classes.every(({ block }) => blocks[block]?.kind === 'class') &&
    calls.every(({ on }) => on >= -1 && on < calls.length)
  )
}

const SAMPLE = `
import os, redis.asyncio as redis
from . import clock
from .store import save as keep, load

LIMIT: int = 60 * 1000
client = redis.from_url(os.environ["CACHE_URL"], decode_responses=True, **more)

@app.get("/orders", tags=["a"])
async def order(id: str, db=Depends(get_db)) -> dict:
    """Says something."""
    async with client.pipeline() as pipe, lock:
        rows = [load(row) for row in await pipe.get(f"order:{id}") if row.ok]
    if (size := len(rows)) > 3 and not db.closed:
        return {"id": id, **rows[0]}
    elif size == 0:
        raise Missing(id) from None
    else:
        keep(rows)
    for attempt in range(3):
        try:
            await client.post("x", timeout=os.getenv("WAIT") or 5)
        except (ValueError, OSError) as error:
            log.error(error)
            continue
        except Exception:
            break
        finally:
            done()

class Store(Base, abc.ABC):
    state = "open"

    def __init__(self, url):
        self.client = redis.Redis.from_url(url).with_retry(2)
        self.closed = False

    @property
    def size(self):
        return len(self.items)

    def close(self):
        self.closed = True
        self.client.close()
`

describe('the facts of Python', () => {
  const facts = read(SAMPLE)

  it('PY1: are whole and say what is called with what', () => {
    expect(facts.brokenAt).toBeUndefined()
    expect(isWhole(facts)).toBe(true)
    const made = facts.calls.find(({ callee }) => callee.text === 'redis.from_url')
    expect(made).toMatchObject({
      callee: { root: 'import:redis.asyncio', isOwn: false },
      hasSpread: true,
      named: [['decode_responses', { kind: 'boolean', value: true }]],
      use: 'assigned',
      target: { text: 'client', root: 'module' },
    })
    expect(callees(facts)).toEqual(
      expect.arrayContaining(['Depends', 'client.pipeline', 'load', 'pipe.get', 'keep', 'len']),
    )
    expect(facts.calls.find(({ callee }) => callee.text === 'pipe.get')?.use).toBe('awaited')
    const chained = facts.calls.find(({ callee }) => callee.text === '().with_retry')
    expect(facts.calls[chained?.on ?? -1]?.callee.text).toBe('redis.Redis.from_url')
    expect(chained?.target).toMatchObject({ text: 'client', isOwn: true })
  })

  it('name blocks as in TypeScript: branches, loops, handlers, with', () => {
    const kinds = facts.blocks.map(({ kind, name }) => (name === '' ? kind : `${kind} ${name}`))
    expect(kinds).toEqual(
      expect.arrayContaining([
        'function order',
        'with',
        'branch',
        'otherwise',
        'loop',
        'try',
        'handler ValueError|OSError',
        'handler Exception',
        'finally',
        'class Store',
      ]),
    )
    const load = facts.calls.find(({ callee }) => callee.text === 'load')
    const branch = facts.blocks[load?.block ?? -1]
    expect(branch?.kind).toBe('branch')
    expect(facts.blocks[branch?.parent ?? -1]).toMatchObject({ kind: 'loop', binds: 'row' })
    const order = facts.blocks.find(({ name }) => name === 'order')
    expect(order?.fn).toMatchObject({ isAsync: true, params: ['id', 'db'], kind: 'function', isExported: true })
    expect(order?.fn?.decorators[0]).toMatchObject({
      callee: { text: 'app.get' },
      args: [{ kind: 'string', value: '/orders' }],
    })
    expect(order).toMatchObject({ line: 10, endLine: 29 })
  })

  it('PY4: give names their meaning', () => {
    expect(facts.imports).toContainEqual({
      module: '.store',
      imported: 'save',
      local: 'keep',
      line: 4,
      isTypeOnly: false,
    })
    expect(facts.calls.find(({ callee }) => callee.text === 'keep')?.callee.root).toBe('import:.store#save')
    const later = read('def f():\n    g()\n    x = 1\n    def h():\n        x.go()\n\ndef g():\n    pass\n')
    expect(later.calls.map(({ callee }) => [callee.text, callee.root])).toEqual([
      ['g', 'module'],
      ['x.go', 'local'],
    ])
    const hidden = read('class A:\n    import os\n    os.here()\n    def f(self):\n        os.gone()\n')
    expect(hidden.calls.map(({ callee }) => callee.root)).toEqual(['import:os', 'global'])
    const closing = facts.assignments.filter(({ target }) => target.text === 'closed')
    expect(closing.map(({ target, value }) => [target.isOwn, value.kind])).toEqual([
      [true, 'boolean'],
      [true, 'boolean'],
    ])
    expect(facts.classes[0]).toMatchObject({ name: 'Store', bases: ['Base', 'abc.ABC'] })
    expect(facts.blocks.find(({ name }) => name === 'size')?.fn?.kind).toBe('getter')
    const global = read('c = None\ndef f():\n    global c\n    c = make()\n').assignments
    expect(global.map(({ target }) => target.root)).toEqual(['module', 'module'])
  })

  it('tell every way of reading the environment', () => {
    expect(facts.envReads.map(({ name, fallback }) => [name, fallback])).toEqual([
      ['CACHE_URL', undefined],
      ['WAIT', { kind: 'number', value: 5 }],
    ])
    const more = read(`
from os import environ, getenv
from decouple import config
from pydantic_settings import BaseSettings
import os
A = environ.get("A_URL", "x")
B = getenv("B_URL")
C = config("C_URL", default=3)
os.environ["D_URL"] = "written"
class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="APP_")
    port: int = 80
    url: str
`)
    expect(more.envReads.map(({ name, fallback }) => [name, fallback?.kind])).toEqual([
      ['A_URL', 'string'],
      ['B_URL', undefined],
      ['C_URL', 'number'],
      ['APP_PORT', 'number'],
      ['APP_URL', undefined],
    ])
  })

  it('know match, walrus, lambda, star, type hints and strings of all kinds', () => {
    const odd = read(`
match = 3
match command:
    case "go" | "run": go()
    case {"k": v} if v: see(v)
    case _: other()
f = lambda x, *a, k=1: call(x)
first, *rest = items()
text = rb"\\d" f"{name!r:>{width}} {d["k"]}" 'end'
def generic[T](x: T, /, *, y: "T" = None) -> T: yield x
value = a() if test() else b()
`)
    expect(odd.brokenAt).toBeUndefined()
    expect(callees(odd)).toEqual(['go', 'see', 'other', 'call', 'items', 'a', 'test', 'b'])
    const a = odd.calls.find(({ callee }) => callee.text === 'a')
    expect(odd.blocks[a?.block ?? -1]?.kind).toBe('branch')
    expect(odd.blocks.find(({ name }) => name === 'generic')?.fn).toMatchObject({
      isGenerator: true,
      params: ['x', 'y'],
    })
    expect(odd.blocks.find(({ name }) => name === 'f')?.fn).toMatchObject({ kind: 'lambda', params: ['x', 'a', 'k'] })
  })
})

describe('what is broken, deep or long', () => {
  it('PY2: costs its statement and is told', () => {
    const facts = read('import a\nx = = 3\ndef good():\n    a.go(1,\n\ndef next():\n    a.stop()\n')
    expect(facts.brokenAt).toBe(2)
    expect(callees(facts)).toEqual(['a.go', 'a.stop'])
    expect(facts.blocks.map(({ name }) => name)).toEqual(expect.arrayContaining(['good', 'next']))
    expect(read('x = """never closed\nmore').brokenAt).toBe(1)
    expect(read('def f(:\n  pass\ny()').brokenAt).toBe(1)
  })

  it('PY1, PY3: is bounded however deep it nests', () => {
    const deep = [
      `x = ${'('.repeat(10_000)}1${')'.repeat(10_000)}\nafter()`,
      `x = ${'['.repeat(10_000)}\nafter()`,
      `x = ${'not '.repeat(10_000)}y\nafter()`,
      `x = ${'-'.repeat(10_000)}y\nafter()`,
      `x = ${'a + '.repeat(10_000)}y\nafter()`,
      `x = ${'a ** '.repeat(10_000)}y\nafter()`,
      `x = ${'lambda: '.repeat(10_000)}y\nafter()`,
      `x = ${'a if b else '.repeat(10_000)}y\nafter()`,
      `x = ${'f('.repeat(5000)}${')'.repeat(5000)}\nafter()`,
      `x = a${'.b()'.repeat(10_000)}\nafter()`,
      `if a:\n  b()\n${'elif a:\n  b()\n'.repeat(5000)}after()`,
      `${Array.from({ length: 500 }, (_, at) => `${' '.repeat(at)}if a:\n`).join('')}${' '.repeat(500)}b()\nafter()`,
      `x = ${'await '.repeat(10_000)}y\nafter()`,
    ]
    for (const source of deep) {
      const facts = read(source)
      expect(isWhole(facts)).toBe(true)
      expect(() => JSON.stringify(facts)).not.toThrow()
    }
    expect(callees(read(deep[0] as string))).toEqual(['after'])
  })

  it('PY1: never throws, whatever is cut out of a file', () => {
    for (let at = 0; at < SAMPLE.length; at += 3) {
      expect(isWhole(read(SAMPLE.slice(0, at)))).toBe(true)
      expect(isWhole(read(SAMPLE.slice(0, at) + SAMPLE.slice(at + 7)))).toBe(true)
      expect(isWhole(read(SAMPLE.slice(at)))).toBe(true)
    }
  })
})
