import { describe, expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { swallowedError } from './swallowed-error.ts'

const found = (source: string, file = 'src/a.ts'): readonly string[] => foundIn(swallowedError, { [file]: source })

describe('handlers with nothing in them', () => {
  test.each([
    ['try {\n  await db.query(q)\n} catch {}', ['strong 3']],
    ['try {\n  store.set(k, v)\n} catch (error) {\n}', ['strong 3']],
    ['async function f() { publish(m).catch(() => {}) }', ['strong 1']],
  ])('FG1: %j has %j', (source, expected) => {
    expect(found(source)).toEqual(expected)
  })

  test.each([
    'try { await f() } catch (error) { log(error) }',
    'try { await f() } catch { failed = true }',
    'function g() { try { f() } catch { return undefined } }',
    'try { await f() } catch { throw new Error("x") }',
    'try { await f() } catch {\n  // the index is only a hint\n}',
    'publish(m).catch(() => {}) // the hint may be lost',
    'publish(m).catch((error) => log(error))',
    'list.catch(1, () => {})',
    'try { value = JSON.parse(text) } catch {}',
    'try { await socket.close() } catch {}',
    'try { a = compute(b) } catch {}',
    'try { await f(); done = true } catch {}',
    'async function f() { try { await store(n); return true } catch {}\n return false }',
    'async function cleanup() { try { await drop(n) } catch {} }',
    "import { useState } from 'react'\ntry { await f() } catch {}",
  ])('FG1: %j is silent', (source) => {
    expect(found(source)).toEqual([])
  })

  test.each([
    ['value = await page_cache.get_json(key)', []],
    ['await self.cache.set(key, value)', []],
    ['await write_cached_page(key, value)', []],
    ['await cache.invalidate(key)', ['strong 4']],
    ['await cache.delete(key)', ['strong 4']],
    ['await cache.set(key, value)\n        await rows.insert(value)', ['strong 5']],
  ])('QL17: what is asked of a cache is there elsewhere: %j has %j', (tried, expected) => {
    expect(
      found(`async def f():\n    try:\n        ${tried}\n    except Exception:\n        pass\n`, 'src/a.py'),
    ).toEqual(expected)
  })

  test.each([
    ['get_cached_page', []],
    ['publish_page', ['strong 4']],
  ])('QL17: a function that is a cache by its name: %s', (name, expected) => {
    const source = `async def ${name}(key):\n    try:\n        await redis.get(key)\n    except Exception:\n        pass\n`
    expect(found(source, 'src/a.py')).toEqual(expected)
  })

  test('FG1: what leaves the process without an effect that its name tells is for review', () => {
    const source =
      'import redis\nclient = redis.Redis()\ndef f(key):\n    try:\n        value = client.get(key)\n    except Exception:\n        pass\n'
    expect(found(source, 'src/a.py')).toEqual(['review 6'])
  })

  test('FG1: in Python any error that passes is found; one that is named is a decision', () => {
    expect(found('try:\n    client.publish(m)\nexcept Exception:\n    pass\n', 'src/a.py')).toEqual(['strong 3'])
    expect(found('try:\n    client.publish(m)\nexcept KeyError:\n    pass\n', 'src/a.py')).toEqual([])
    expect(found('try:\n    client.publish(m)\nexcept Exception:\n    pass  # a hint\n', 'src/a.py')).toEqual([])
  })

  test.each([
    ['await remove(id).catch(() => false)', ['strong 1']],
    ['await remove(id).catch(() => null)', ['strong 1']],
    ['const gone = await remove(id).catch(() => false)', ['review 1']],
    ['await remove(id).catch(() => true)', []],
    ['await remove(id).catch(() => { log(id); return false })', []],
    ['const text = await look(id).catch(() => null)', []],
    ['try { await f() } catch (error) { await remove(id).catch(() => null); throw error }', []],
    ['await remove(id).catch(() => false) // it may be gone', []],
  ])('QK9: %s has %j', (body, expected) => {
    expect(found(`async function close(id) { ${body} }`)).toEqual(expected)
  })

  test('FG1: what people start by hand is silent', () => {
    expect(found('try { await f() } catch {}', 'scripts/a.ts')).toEqual([])
  })
})

const read = (name: string, answer: string, handler: string): string =>
  `import requests\n\ndef ${name}(user):\n    try:\n        answer = requests.get(url, timeout=1)\n        ${answer}\n    except Exception as error:\n        ${handler}\n`

describe('failures that are told as answers', () => {
  test('ER1: an outage that looks like nothing is found', () => {
    expect(found(read('orders_of', 'return answer.json()', 'log.error(error); return []'), 'src/a.py')).toEqual([
      'strong 7',
    ])
    const missing = 'if answer.status_code == 404:\n            return None\n        return answer.json()'
    expect(found(read('order_of', missing, 'log.error(error); return None'), 'src/a.py')).toEqual(['strong 9'])
    const ts =
      'import axios from "axios"\nexport async function ordersOf(user) {\n  try {\n    const { data } = await axios.get(url)\n    return data\n  } catch (error) {\n    console.error(error)\n    return []\n  }\n}'
    expect(found(ts)).toEqual(['strong 6'])
  })

  test.each([
    read('orders_of', 'return answer.json()', 'log.error(error); raise'),
    read('orders_of', 'return answer.json()', 'log.error(error); return None'),
    read('orders_of', 'return answer.json()', 'count(error); return []'),
    read('orders_of', 'return answer.json()', 'log.error(error); return []  # shown as unknown'),
    read('is_alive', 'return answer.ok', 'log.error(error); return []'),
    read('try_orders', 'return answer.json()', 'log.error(error); return []'),
    read('orders_of', 'return answer.json()', 'log.error(error); return Failed(error)'),
    read('orders_of', 'return answer.json()', 'log.error(error); return []').replace('requests.get', 'compute'),
    'import requests\n\ndef all_of(users):\n    for user in users:\n        try:\n            requests.post(url, timeout=1)\n        except Exception as error:\n            log.error(error)\n',
    'async def show(page, callback):\n    try:\n        await page.wait_for_load_state("networkidle")\n    except Exception:\n        pass\n    try:\n        await callback.answer()\n    except Exception:\n        pass\n',
  ])('ER1: %j is silent', (source) => {
    expect(found(source, 'src/a.py')).toEqual([])
  })

  test.each([
    ['def f():\n    try:\n        send()\n    finally:\n        close()\n        return\n', ['strong 6']],
    [
      'def f():\n    try:\n        send()\n    except Known:\n        log()\n    finally:\n        return 1\n',
      ['strong 7'],
    ],
    [
      'def f():\n    try:\n        send()\n    except Exception as e:\n        log(e)\n    finally:\n        return 1\n',
      [],
    ],
    ['def f():\n    try:\n        send()\n    finally:\n        if done:\n            close()\n    return 1\n', []],
  ])('ER15: %j has %j', (source, expected) => {
    expect(found(source, 'src/a.py')).toEqual(expected)
  })

  test('ER1: a write that is only logged is found where somebody waits for it', () => {
    const write = (callers: string): string =>
      `import asyncpg\n\nclass Orders:\n    async def start(self):\n        self.pool = await asyncpg.create_pool(dsn)\n\n    async def keep(self, order):\n        try:\n            await self.pool.execute("INSERT INTO orders VALUES ($1)", order)\n        except Exception as error:\n            log.error(error)\n${callers}`
    expect(found(write('\n    async def take(self, order):\n        await self.keep(order)\n'), 'src/a.py')).toEqual([
      'strong 10',
    ])
    expect(found(write(''), 'src/a.py')).toEqual([])
  })

  test('ER2: a cache is for review, and what stands beside it is told with it', () => {
    const cache = `import redis

class Cache:
    def __init__(self):
        self.client = redis.Redis()
        self.connected = False

    def get(self, key):
        if not self.connected or not self.client:
            return None
        try:
            return self.client.get(key)
        except Exception as error:
            log.error(error)
            return None

    def set(self, key, value):
        try:
            self.client.set(key, value)
            return True
        except Exception as error:
            log.error(error)
            return False
`
    expect(found(cache, 'src/a.py')).toEqual(['review 13', 'review 21', 'review 9'])
    expect(
      found(cache.replace('            log.error(error)\n            return None', '            raise'), 'src/a.py'),
    ).toEqual([])
  })
})

describe('work that is lost', () => {
  const handler = (body: string, given = 'self.taken'): string =>
    `class Orders:\n    async def start(self):\n        await self.bus.subscribe("orders", handler=${given})\n\n    async def taken(self, event):\n        try:\n            await self.keep(event)\n        except Exception as error:\n            ${body}\n`

  test('ER14: a message whose handler only logs is for review', () => {
    expect(found(handler('log.error(error)').replaceAll('taken', 'handle_order'), 'src/a.py')).toEqual(['review 8'])
    expect(found(handler('log.error(error)', 'self.on_order').replaceAll('taken', 'on_order'), 'src/a.py')).toEqual([
      'review 8',
    ])
    expect(found(handler('raise', 'self.on_order').replaceAll('taken', 'on_order'), 'src/a.py')).toEqual([])
    expect(found(handler('log.error(error)', 'other').replaceAll('taken', 'on_order'), 'src/a.py')).toEqual([])
  })

  const task = (handler: string, head = '@app.task\ndef ship(order_id):'): string =>
    `from celery import Celery\n${head}\n    try:\n        pack(order_id)\n    except Exception as error:\n        ${handler}\n`
  test.each([
    [task('log.error(error)'), ['strong 6']],
    [task('log.error(error)', '@dramatiq.actor(queue_name="a")\ndef ship(message):'), ['strong 6']],
    [task('raise'), []],
    [task('self.retry(exc=error)', '@app.task(bind=True)\ndef ship(self, order_id):'), []],
    [task('return {"failed": str(error)}'), []],
    [task('log.error(error)', '@app.task\ndef sweep():'), []],
    [task('log.error(error)', '@app.task(bind=True)\ndef sweep(self):'), []],
    [task('log.error(error)', 'def ship(order_id):'), []],
    [
      `${task('log.error(error)', 'def ship(order_id):')}@app.task\ndef run(order_id):\n    ship(order_id)\n`,
      ['strong 5'],
    ],
    [
      `${task('log.error(error)', 'def ship(order_id):')}@app.task\ndef run(order_id):\n    ship(order_id)\ndef look():\n    ship(1)\n`,
      [],
    ],
  ])('QL13: %j: %j', (source, expected) => {
    expect(found(source, 'src/a.py')).toEqual(expected)
  })

  test('ER14: a refused row that is told as done is for review', () => {
    const write = (then: string): string =>
      `async function keep(row) {\n  try {\n    await db.insert(row)\n  } catch (error) {\n    if (error.message.includes('duplicate key')) {\n      log.warn(error)\n      ${then}\n    }\n    throw error\n  }\n}`
    expect(found(write('return'))).toEqual(['review 5'])
    expect(found(write('return false'))).toEqual([])
    expect(found(write('return').replace('log.warn(error)', ''))).toEqual([])
  })

  test('ER14: a process that starts without what it loads is for review', () => {
    const load = (handler: string): string =>
      `function loadRules() {\n  try {\n    for (const rule of JSON.parse(fs.readFileSync(path))) rules.set(rule.id, rule)\n  } catch (error) {\n    ${handler}\n  }\n}\nloadRules()`
    expect(found(load('console.warn(error)'))).toEqual(['review 4'])
    expect(found(load('throw error'))).toEqual([])
    expect(found(load('console.warn(error)').replace('\nloadRules()', ''))).toEqual([])
  })
})

describe('writes in the layers below', () => {
  const LEDGER =
    'export class Ledger {\n  constructor(private readonly prisma: PrismaService) {}\n  async add(id: string) { return await this.prisma.entry.create({ data: { id } }) }\n  async look(id: string) { return await this.prisma.entry.findUnique({ where: { id } }) }\n}\n'
  const desk = (tried: string, handler: string, after = ''): string =>
    `import { Ledger } from './ledger'\nexport class Desk {\n  constructor(private readonly ledger: Ledger) {}\n  async enter(id: string) {\n    try {\n      ${tried}\n    } catch (error) {\n      ${handler}\n    }${after}\n  }\n}\nexport class Door {\n  constructor(private readonly desk: Desk) {}\n  async shut(id: string) { await this.desk.enter(id) }\n}\n`
  const LOG = "console.error('no', error)"

  test.each([
    [desk('await this.ledger.add(id)', LOG), ['strong src/desk.ts:7']],
    [desk('await this.ledger.look(id)', LOG), []],
    [desk('await this.ledger.add(id)', `${LOG}\n      throw error`), []],
    [desk('await this.ledger.add(id)\n      return true', LOG, '\n    return false'), []],
  ])('QK10: %s has %j', (source, expected) => {
    expect(foundIn(swallowedError, { 'src/desk.ts': source, 'src/ledger.ts': LEDGER })).toEqual(expected)
  })
})
