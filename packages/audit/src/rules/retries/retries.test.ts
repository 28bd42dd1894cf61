import { describe, expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { retryConstantBackoff, retryNoJitter } from './retry-no-jitter.ts'
import { retryNoBackoff, retryUnbounded } from './retry-unbounded.ts'

describe('waits between attempts', () => {
  test.each([
    [
      'src/a.ts',
      'async function f(attempt) {\n  const delay = base * 2 ** attempt\n  await sleep(delay)\n}',
      ['strong 2'],
    ],
    [
      'src/a.ts',
      'async function f(retryCount) {\n  await sleep(Math.min(100 * Math.pow(2, retryCount), 5000))\n}',
      ['strong 2'],
    ],
    [
      'src/a.ts',
      'const client = new Client({\n  retryStrategy: (times) => {\n    return Math.min(times * 100, 3000)\n  },\n})',
      ['strong 3'],
    ],
    ['src/a.py', 'def f(attempt):\n    time.sleep(2 ** attempt)\n', ['strong 2']],
    ['src/a.py', 'def f(self):\n    raise self.retry(countdown=60 * (2 ** self.request.retries))\n', ['strong 2']],
    ['src/a.py', 'def backoff(attempt):\n    return base * (2 ** attempt)\n', ['strong 2']],
  ])('RG1: in %s %j has %j', (file, source, expected) => {
    expect(foundIn(retryNoJitter, { [file]: source })).toEqual(expected)
  })

  test.each([
    [
      'src/a.ts',
      'async function f(attempt) {\n  const delay = base * 2 ** attempt * Math.random()\n  await sleep(delay)\n}',
    ],
    ['src/a.ts', 'async function f(attempt) {\n  const delay = base * 2 ** attempt\n  await sleep(jitter(delay))\n}'],
    ['src/a.ts', 'function size(n) {\n  const bytes = 2 ** n\n  return bytes\n}'],
    ['src/a.ts', 'async function f(attempt) { await sleep(50 * attempt) }'],
    ['src/a.ts', 'function rate(load) {\n  const delay = base * load ** this.factor\n}'],
    [
      'src/a.py',
      'def backoff(attempt):\n    return base * (2 ** attempt)\n\ndef f(n):\n    time.sleep(backoff(n) + random.random())\n',
    ],
    ['scripts/a.py', 'def f(attempt):\n    time.sleep(2 ** attempt)\n'],
  ])('RG1: in %s %j is silent', (file, source) => {
    expect(foundIn(retryNoJitter, { [file]: source })).toEqual([])
  })

  test('RG2: a power of two numbers is no backoff, one of the attempt is', () => {
    const wait = (exponent: string): Readonly<Record<string, string>> => ({
      'src/a.py': `def backoff(self, attempt):\n    return min(self.base * (2 ** ${exponent}), 60.0)\n`,
    })
    expect(foundIn(retryConstantBackoff, wait('3'))).toEqual(['strong 2'])
    expect(foundIn(retryConstantBackoff, wait('attempt'))).toEqual([])
    expect(
      foundIn(retryConstantBackoff, { 'src/a.ts': 'const delay = (attempt: number) => 2 ** 3 * attempt' }),
    ).toEqual([])
  })
})

const loop = (head: string, after: string): Readonly<Record<string, string>> => ({
  'src/a.py': `import requests\n\ndef fetch(url):\n    ${head}:\n        try:\n            return requests.get(url, timeout=1)\n        except Exception as error:\n            ${after}\n`,
})

describe('waits that a library is told', () => {
  const told = (decorator: string, name = 'tenacity'): Readonly<Record<string, string>> => ({
    'src/a.py': `from ${name} import *\nimport ${name}\nfrom tenacity import retry, wait_exponential, wait_random\n\n${decorator}\ndef f():\n    ask()\n`,
  })
  test.each([
    [told('@retry(stop=stop_after_attempt(3), wait=wait_exponential(max=9))'), ['strong 5']],
    [told('@tenacity.retry(wait=tenacity.wait_fixed(1) + tenacity.wait_exponential())'), ['strong 5']],
    [told('@retry(wait=wait_exponential() + wait_random(0, 1))'), []],
    [told('@retry(wait=wait_random_exponential())'), []],
    [told('@app.task(retry_backoff=True, retry_jitter=False)', 'celery'), ['strong 5']],
    [told('@app.task(retry_backoff=True)', 'celery'), []],
    [told('@backoff.on_exception(backoff.expo, Failed, jitter=None)', 'backoff'), ['strong 5']],
    [told('@backoff.on_exception(backoff.expo, Failed)', 'backoff'), []],
  ])('QL1: %j: %j', (files, expected) => {
    expect(foundIn(retryNoJitter, files)).toEqual(expected)
  })
})

describe('loops that pause only where all went well', () => {
  const loop = (body: string, handler = 'log.error(e)', head = 'while True'): Readonly<Record<string, string>> => ({
    'src/a.py': `import asyncio\nimport httpx\n\nasync def look():\n    async with httpx.AsyncClient() as c:\n        await c.get(URL)\n\nasync def watch(self):\n    ${head}:\n        try:\n            ${body}\n        except Exception as e:\n            ${handler}\n`,
  })
  test.each([
    [loop('await look()\n            await asyncio.sleep(60)'), ['strong 9']],
    [loop('await look()\n            await asyncio.sleep(60)', 'log.error(e)', 'while self.running'), ['strong 9']],
    [loop('await look()\n            await asyncio.sleep(60)', 'await asyncio.sleep(5)'), []],
    [loop('await look()\n            await asyncio.sleep(60)', 'raise'), []],
    [loop('await asyncio.sleep(60)\n            await look()'), []],
    [loop('count()\n            await asyncio.sleep(60)'), []],
    [loop('await look()\n        finally:\n            await asyncio.sleep(60)'), []],
    [loop('await look()\n            await asyncio.sleep(60)', 'log.error(e)', 'for url in urls'), []],
  ])('QL2: %j: %j', (files, expected) => {
    expect(foundIn(retryNoBackoff, files)).toEqual(expected)
  })
})

describe('loops that try again', () => {
  test('RG3: without an end is found, unless it waits longer each time', () => {
    expect(foundIn(retryUnbounded, loop('while True', 'log.warning(error)'))).toEqual(['strong 4'])
    expect(foundIn(retryUnbounded, loop('while True', 'time.sleep(5)'))).toEqual(['review 4'])
    expect(foundIn(retryUnbounded, loop('while True', 'delay = delay * 2; time.sleep(delay)'))).toEqual([])
    expect(foundIn(retryUnbounded, loop('while True', 'self.recover(error)'))).toEqual([])
  })

  test.each([
    loop('for attempt in range(3)', 'log.warning(error)'),
    loop('while True', 'raise'),
    loop('while True', 'attempts += 1\n            if attempts > 3:\n                raise'),
    {
      'src/a.py':
        'import requests\n\ndef work():\n    while True:\n        try:\n            requests.get(url, timeout=1)\n        except Exception as error:\n            log.warning(error)\n',
    },
    {
      'src/a.py':
        'def parse(texts):\n    while True:\n        try:\n            return compute(texts)\n        except Exception as error:\n            log.warning(error)\n',
    },
  ])('RG3: %j is silent', (texts) => {
    expect(foundIn(retryUnbounded, texts)).toEqual([])
  })

  test('RG3: a function that calls itself in its handler is found, and one that counts is not', () => {
    const again = (handler: string): Readonly<Record<string, string>> => ({
      'src/a.ts': `export async function load(url, left) {\n  try {\n    return await fetch(url)\n  } catch (error) {\n    ${handler}\n  }\n}`,
    })
    expect(foundIn(retryUnbounded, again('return load(url, left)'))).toEqual(['strong 4'])
    expect(foundIn(retryUnbounded, again('return load(url, left - 1)'))).toEqual([])
    expect(foundIn(retryUnbounded, again('if (left > 0) return load(url, left)\n    throw error'))).toEqual([])
  })

  test('RG4: attempts that follow at once are found, and not where anything may wait', () => {
    expect(foundIn(retryNoBackoff, loop('for attempt in range(3)', 'log.warning(error)'))).toEqual(['strong 4'])
    expect(foundIn(retryNoBackoff, loop('for attempt in range(3)', 'time.sleep(1)'))).toEqual([])
    expect(foundIn(retryNoBackoff, loop('for attempt in range(3)', 'self.recover(error)'))).toEqual([])
    expect(foundIn(retryNoBackoff, loop('for host in hosts', 'log.warning(error)'))).toEqual([])
  })

  test('RG3, RG4: the decorator of tenacity says neither end nor pause by itself', () => {
    const decorated = (given: string): Readonly<Record<string, string>> => ({
      'src/a.py': `from tenacity import retry, stop_after_attempt, wait_fixed\n\n@retry(${given})\ndef f():\n    pass\n`,
    })
    expect(foundIn(retryUnbounded, decorated(''))).toEqual(['strong 3'])
    expect(foundIn(retryNoBackoff, decorated(''))).toEqual(['strong 3'])
    const bounded = decorated('stop=stop_after_attempt(3), wait=wait_fixed(1)')
    expect(foundIn(retryUnbounded, bounded)).toEqual([])
    expect(foundIn(retryNoBackoff, bounded)).toEqual([])
    expect(foundIn(retryUnbounded, decorated('**options'))).toEqual([])
  })
})

test('QT31: a limit of time for what is tried is no wait between attempts', () => {
  const tries = (more: string): Readonly<Record<string, string>> => ({
    'src/a.ts': `async function get(url: string) {\n  for (let attempt = 0; attempt < 5; attempt++) {\n    try {\n      return await fetch(url, { signal: AbortSignal.timeout(1000) })\n    } catch (error) {\n      log(error)${more}\n    }\n  }\n}`,
  })
  expect(foundIn(retryNoBackoff, tries(''))).toHaveLength(1)
  expect(foundIn(retryNoBackoff, tries('\n      await timeout(attempt * 100)'))).toEqual([])
  expect(foundIn(retryNoBackoff, tries('\n      await new Promise((done) => setTimeout(done, 100))'))).toEqual([])
})
