import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { errorLeak } from './error-leak.ts'
import { fatalStartSwallowed } from './fatal-start-swallowed.ts'
import { missingMethod } from './missing-method.ts'
import { swallowedError } from './swallowed-error.ts'

const starts = (source: string): readonly string[] => foundIn(fatalStartSwallowed, { 'src/a.js': source })
const EXPRESS = "const express = require('express')\nconst app = express()\n"
const BROKER =
  "const amqp = require('amqplib')\nasync function connect() {\n  const connection = await amqp.connect(url)\n}\n"

test('QJ6: a start whose failure is only logged, where something keeps the process up', () => {
  expect(starts(`${EXPRESS}${BROKER}connect().catch(console.error)\napp.listen(80)`)).toEqual(['strong 7'])
  expect(starts(`${BROKER}connect().catch((error) => console.error(error))\nsetInterval(beat, 1000)`)).toEqual([
    'strong 5',
  ])
  expect(starts(`${BROKER}connect().catch(console.error)`)).toEqual([])
  expect(starts(`${EXPRESS}${BROKER}connect().catch(() => process.exit(1))\napp.listen(80)`)).toEqual([])
  const caught = BROKER.replace('  const', '  try { const').replace('url)\n', 'url) } catch (error) { retry(error) }\n')
  expect(starts(`${EXPRESS}${caught}connect().catch(console.error)\napp.listen(80)`)).toEqual([])
})

test('QJ6: a chain that start-up leads to', () => {
  const open = (more: string): string =>
    `const mongoose = require('mongoose')\n${EXPRESS}const open = async () => {\n  mongoose\n    .connect(url)\n    .then(() => console.log('up'))\n    .catch((error) => ${more})\n}\n`
  const listen = 'app.listen(80, async () => {\n  await open()\n})'
  expect(starts(`${open('console.error(error)')}${listen}`)).toEqual(['strong 8'])
  expect(starts(`${open('fail(error)')}${listen}`)).toEqual([])
  expect(starts(`${open('console.error(error)')}app.get('/x', open)`)).toEqual([])
})

test('QW9: a port that cannot be taken, where listen is a promise', () => {
  const start = (library: string, listen: string, handler = 'console.log(error)'): readonly string[] =>
    starts(
      `import { make } from '${library}'\nasync function go() {\n  const app = await make()\n  ${listen.replace('HANDLER', handler)}\n}\ngo()`,
    )
  const chained = 'await app.listen(80).then(up).catch((error) => {\n    HANDLER\n  })'
  const tried = 'try {\n    await app.listen(80)\n  } catch (error) {\n    HANDLER\n  }'
  expect(start('@nestjs/core', chained)).toEqual(['strong 4'])
  expect(start('fastify', tried)).toEqual(['strong 6'])
  expect(start('fastify', tried, 'process.exit(1)')).toEqual([])
  expect(start('express', tried)).toEqual([])
  expect(start('fastify', tried.replace('await ', ''))).toEqual([])
})

test('QJ7: a comment explains, and one that wonders about an exit does not', () => {
  const open = (comment: string): string =>
    `const mongoose = require('mongoose')\nasync function open() {\n  try {\n    await mongoose.connect(url)\n  } catch (error) {\n    console.error(error)\n    ${comment}\n  }\n}\nopen()`
  expect(starts(open('// process.exit(1)'))).toEqual(['strong 5'])
  expect(starts(open('// the copy in memory is enough'))).toEqual([])
})

test('QJ9: what was read may be returned by its name, and taking out of a list reads', () => {
  const next = (more: string): string =>
    `const { createClient } = require('redis')\nconst client = createClient()\nasync function next() {\n  try {\n    const id = await client.${more}\n    return id\n  } catch (error) {\n    console.error(error)\n    return null\n  }\n}`
  const found = (source: string): readonly string[] => foundIn(swallowedError, { 'src/a.js': source })
  expect(found(next("lPop('jobs')"))).toEqual(['review 7'])
  expect(found(next("get('job')"))).toEqual(['review 7'])
  expect(found(next("get('job')").replace('return id', 'return id.length'))).toEqual([])
})

const route = (tried: string, handler: string, before = ''): string =>
  `${EXPRESS}app.post('/orders', async (req, res) => {\n  ${before}\n  try {\n    ${tried}\n  } catch (error) {\n    ${handler}\n  }\n})`

test.each([
  [route('await keep(req.body)\n    res.json({})', 'console.error(error)'), ['strong 8']],
  [route('await keep(req.body)\n    res.status(201).send("kept")', 'logger.error(error)\n    return'), ['strong 8']],
  [route('await keep(req.body)\n    res.json({})', 'console.error(error)\n    res.status(500).end()'), []],
  [route('await keep(req.body)\n    res.json({})', 'next(error)'), []],
  [route('res.status(202).end()\n    await keep(req.body)', 'console.error(error)'), []],
  [route('await keep(req.body)', 'console.error(error)', 'res.json({})'), []],
  [route('await keep(req.body)\n    res.json({})', 'console.error(error)').replace(/}\)$/, '  res.end()\n})'), []],
  [route('await keep(req.body)\n    res.json({})', '// answered by the proxy\n    console.error(error)'), []],
])('QJ10: %j has %j', (source, expected) => {
  expect(foundIn(swallowedError, { 'src/a.js': source })).toEqual(expected)
})

const leaks = (source: string): readonly string[] => foundIn(errorLeak, { 'src/a.js': source })

test('QJ16: what a catch is given is a handler of any error', () => {
  const answer = (status: number): string =>
    `function take(req, res) {\n  work().catch((error) => {\n    res.status(${status}).send({ error: error.message })\n  })\n}`
  expect(leaks(answer(500))).toEqual(['strong 3'])
  expect(leaks(answer(404))).toEqual([])
})

test.each([
  ['const text = err.message || "failed"', 'res.status(code).json({ error: text })', ['strong 4']],
  ['const text = err.message || "failed"', 'res.status(code).json(errorResponse(code, text))', ['strong 4']],
  ['const text = isDev ? err.message : "failed"', 'res.status(code).json({ error: text })', []],
  ['const text = "failed"', 'res.status(code).json({ error: text })', []],
  ['let text = err.message\n  text = "failed"', 'res.status(code).json({ error: text })', []],
])('QJ17: after %j, %j has %j', (text, answer, expected) => {
  expect(
    leaks(`function last(err, req, res, next) {\n  const code = err.status || 500\n  ${text}\n  ${answer}\n}`),
  ).toEqual(expected)
})

test('QJ26: an empty catch behind what lets no failure out', () => {
  const save = (inner: string): string => `async function save(order) {\n  ${inner}\n}\nsave(order).catch(() => {})`
  const swallowed = (source: string): readonly string[] => foundIn(swallowedError, { 'src/a.js': source })
  expect(swallowed(save('try { await put(order) } catch (error) { console.error(error) }'))).toEqual([])
  expect(swallowed(save('await put(order)'))).toEqual(['strong 4'])
  expect(swallowed(save('await put(order).catch((error) => { console.error(error) })'))).toEqual([])
  expect(swallowed(save('putSync(order)'))).toEqual(['strong 4'])
})

test('QT10: a callback that is given the error first is a handler of any error', () => {
  const reads = (body: string): readonly string[] =>
    foundIn(errorLeak, {
      'src/a.js': `app.get('/x', (req, res) => {\n  db.query(sql, (error, rows) => {\n    ${body}\n  })\n})`,
    })
  expect(reads('if (error) return res.status(500).json({ error: error.message })')).toEqual(['strong 3'])
  expect(reads("if (error) return res.status(500).json({ error: 'failed' })")).toEqual([])
  expect(reads('return res.status(500).json({ error: rows.message })')).toEqual([])
})

test('QT13: a module that exports one object has what stands in it', () => {
  const calls = (what: string, exports: string): readonly string[] =>
    foundIn(missingMethod, {
      'src/b.js': `const create = () => {}\nconst send = () => {}\n${exports}`,
      'src/a.js': `const orders = require('./b')\nfunction run() {\n  return orders.${what}()\n}`,
    })
  expect(calls('list', 'module.exports = { create, send }')).toEqual(['strong src/a.js:3'])
  expect(calls('send', 'module.exports = { create, send }')).toEqual([])
  expect(calls('list', 'module.exports = { create, send, ...more }')).toEqual([])
  expect(calls('list', 'module.exports = { create, send }\nmodule.exports.list = send')).toEqual([])
})
