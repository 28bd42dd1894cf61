import { describe, expect, test } from 'vitest'
import { foundIn } from '../found.fixture.ts'
import { checkThenActRace } from './check-then-act-race.ts'

const found = (source: string, more: Readonly<Record<string, string>> = {}): readonly string[] =>
  foundIn(checkThenActRace, { 'src/a.js': source, ...more }).map((each) => each.replace('src/a.js:', ''))

const MONGO = (test: string, condition: string): string => `async function pay(amount) {
  const wallet = await wallets.findOne({ owner })
  ${test}
  await wallets.updateOne(${condition}, { $inc: { balance: -amount } })
}`
const SQL = (read: string, write: string): string => `async function take(id, many) {
  const { rows } = await pool.query('${read}', [id])
  const [item] = rows
  if (item.stock < many) throw new Error('too few')
  await pool.query('${write}', [many, id])
}`
const TOO_LITTLE = "if (wallet.balance < amount) throw new Error('too little')"

describe('what is compared, and then taken', () => {
  test.each([
    [MONGO(TOO_LITTLE, '{ owner }'), ['strong 2']],
    [MONGO(`if (!wallet || ${TOO_LITTLE.slice(4)}`, '{ owner }'), ['strong 2']],
    [SQL('SELECT stock FROM items WHERE id = $1', 'UPDATE items SET stock = stock - $1 WHERE id = $2'), ['strong 2']],
    [
      'async function pay(id, amount) {\n  const wallet = await prisma.wallet.findUnique({ where: { id } })\n  if (wallet.balance < amount) throw new Error("too little")\n  await prisma.wallet.update({ where: { id }, data: { balance: { decrement: amount } } })\n}',
      ['strong 2'],
    ],
  ])('QJ14: %j has %j', (source, expected) => {
    expect(found(source)).toEqual(expected)
  })

  test.each([
    MONGO(TOO_LITTLE, '{ owner, balance: { $gte: amount } }'),
    MONGO('', '{ owner }'),
    MONGO("if (wallet.state === 'closed') throw new Error('closed')", '{ owner }'),
    MONGO(TOO_LITTLE, '{ owner }').replace('wallets.updateOne', 'totals.updateOne'),
    SQL('SELECT stock FROM items WHERE id = $1 FOR UPDATE', 'UPDATE items SET stock = stock - $1 WHERE id = $2'),
    SQL('SELECT stock FROM items WHERE id = $1', 'UPDATE items SET stock = stock - $1 WHERE id = $2 AND stock >= $1'),
    SQL('SELECT stock FROM items WHERE id = $1', 'UPDATE totals SET stock = stock - $1 WHERE id = $2'),
  ])('QJ14: %j is silent', (source) => {
    expect(found(source)).toEqual([])
  })
})

const SCHEMA = (unique: string): Readonly<Record<string, string>> => ({
  'models/member.js': `const memberSchema = new mongoose.Schema({ email: { type: String${unique} }, name: String })\nmodule.exports = mongoose.model('Member', memberSchema)`,
})
const JOIN = `async function join(email) {
  const known = await Member.findOne({ email })
  if (known) return known
  const member = new Member({ email })
  await member.save()
}`

test('QJ15: a document that is made and saved is a row that is made', () => {
  expect(found(JOIN, SCHEMA(''))).toEqual(['strong 2'])
  expect(found(JOIN, SCHEMA(', unique: true'))).toEqual([])
  expect(found(JOIN.replace('new Member', 'new Visit'), SCHEMA(''))).toEqual([])
  expect(found(JOIN.replace('  await member.save()\n', ''), SCHEMA(''))).toEqual([])
})
