import { expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { swallowedError } from './swallowed-error.ts'

const found = (source: string, path = 'src/a.py'): readonly string[] => foundIn(swallowedError, { [path]: source })

const indented = (text: string, by: string): string =>
  text
    .split('\n')
    .map((line) => `${by}${line}`)
    .join('\n')

/** A write of a session of a database, through as many functions as `layers` says, whose failure is only logged. */
function removing(handler: string, { guard = '', layers = 0, caller = 'remove(db, key)' } = {}): string {
  const below = Array.from(
    { length: layers },
    (_, layer) => `def below_${layer}(db):\n    ${layer === 0 ? 'db.commit()' : `below_${layer - 1}(db)`}`,
  )
  const tried = layers === 0 ? 'db.delete(key)\n        db.commit()' : `below_${layers - 1}(db)`
  return `${below.join('\n')}
def remove(db, key):
    ${guard === '' ? 'pass' : guard}
    try:
        ${tried}
        return True
    except Exception as error:
${indented(handler, '        ')}
def clean(db, key):
    ${caller}
    return key
`
}

const LOGGED = 'logger.error(error)\ndb.rollback()\nreturn False'

test.each([
  ['nobody looks', removing(LOGGED), ['strong 8']],
  ['somebody looks', removing(LOGGED, { caller: 'done = remove(db, key)' }), []],
  ['somebody asks', removing(LOGGED, { caller: 'if not remove(db, key): raise Failed()' }), []],
  [
    'it is the answer for what is not there',
    removing(LOGGED, { guard: 'if key is None: return False', caller: 'done = remove(db, key)' }),
    ['strong 8'],
  ],
  [
    'it is the answer of another failure',
    removing(LOGGED, {
      guard: 'if key is None:\n        logger.error("no key")\n        return False',
      caller: 'done = remove(db, key)',
    }),
    [],
  ],
  ['it says why', removing('logger.error(error)\nreturn False\n# the sweep comes again'), []],
  ['it is told', removing('logger.error(error)\nreport(error)\nreturn False'), []],
])('RW12, RW14: a false of a write, where %s', (_, source, expected) => {
  expect(found(source)).toEqual(expected)
})

test.each([
  [1, ['strong 8']],
  [2, ['strong 10']],
  [3, []],
])('RW11: through %i functions', (layers, expected) => {
  expect(found(removing(LOGGED, { layers }))).toEqual(expected)
})

test('RW11: what a function looks after itself is not followed', () => {
  const source = removing(LOGGED, { layers: 1 })
  expect(
    found(
      source.replace(
        '    db.commit()',
        '    try:\n        db.commit()\n    except Exception as error:\n        store(error)',
      ),
    ),
  ).toEqual([])
})

test.each([
  [39, ['strong 47']],
  [40, []],
])('RW11: a function of %i calls beside the write', (calls, expected) => {
  const shape = Array.from({ length: calls }, () => '    shape(db)').join('\n')
  const source = removing(LOGGED, { layers: 1 }).replace('    db.commit()', () => `${shape}\n    db.commit()`)
  expect(found(source)).toEqual(expected)
})

const ORDERS = `const axios = require('axios')
async function order(item) {
  try {
    await axios.post('http://stock/take', item)
  } catch (error) {
    UNDO
    throw error
  }
}`

test.each([
  ["try { await axios.post('http://stock/release', item) } catch (again) { console.error(again) }", ['strong 6']],
  ["try { await axios.post('http://stock/release', item) } catch (again) { later(item) }", []],
  ["try { await axios.post('http://stock/hello', item) } catch (again) { console.error(again) }", []],
  ["try { await axios.get('http://stock/release') } catch (again) { console.error(again) }", []],
])('RW13: %s', (undo, expected) => {
  expect(
    found(
      ORDERS.replace('UNDO', () => undo),
      'src/a.js',
    ),
  ).toEqual(expected)
})

test.each([
  ['{ "total": 0, "items": [] }', ['strong 5']],
  ['{ "total": 0, "error": "" }', []],
  ['{ "total": 0, "healthy": False }', []],
  ['{ "total": 1 }', []],
])('ER1: %s is what is answered where there is nothing, or not', (answer, expected) => {
  const source = `def totals(session):
    try:
        rows = session.execute(text)
        return { "total": len(rows), "items": rows }
    except Exception as error:
        logger.error(error)
        return ${answer}
`
  expect(found(source)).toEqual(expected)
})

test.each([
  ['// A best-effort copy: failures are only logged.', []],
  ['// The copy of an order.', ['strong 8']],
])('ER1: %s over the function', (comment, expected) => {
  const source = `const { Pool } = require('pg')
const pool = new Pool()
${comment}
async function keep(order) {
  try {
    await pool.query('insert into copies values ($1)', [order])
  }
  catch (error) {
    console.error(error)
  }
}
module.exports.place = async (order) => {
  await keep(order)
  return order
}`
  expect(found(source, 'src/a.js')).toEqual(expected)
})

test('RW12: what is sent beside the work is for review, and a notice in the middle of it is silent', () => {
  const source = (name: string, inner = 'post(order)'): string => `const { Pool } = require('pg')
const pool = new Pool()
const post = (order) => pool.query('insert into notices values ($1)', [order])
const notify = (order) => pool.query('insert into notices values ($1)', [order])
async function ${name}(order) {
  try {
    await ${inner}
  } catch (error) {
    console.error(error)
  }
}
module.exports.place = async (order) => {
  await ${name}(order)
  return order
}`
  expect(found(source('keep'), 'src/a.js')).toEqual(['strong 8'])
  expect(found(source('notifyOwner'), 'src/a.js')).toEqual(['review 8'])
  expect(found(source('countMetric'), 'src/a.js')).toEqual([])
  expect(found(source('keep', 'notify(order)'), 'src/a.js')).toEqual([])
})

test.each([
  ["const answer = await axios.get('http://users/1', { timeout: 1 })", ['strong 6']],
  ["const answer = await fetch('http://users/1')", []],
])('RW15, ER1: %s', (asked, expected) => {
  const source = `const axios = require('axios')
async function userOf() {
  try {
    ${asked}
    return answer.data
  } catch (error) {
    console.error(error)
    return null
  }
}`
  expect(found(source, 'src/a.js')).toEqual(expected)
  expect(found(source.replace('(error)', '(_error)').replace('console.error(error)', ''), 'src/a.js')).toEqual([])
})
