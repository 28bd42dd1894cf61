import { describe, expect, test } from 'vitest'
import { checkThenActRace } from './check-then-act-race.ts'
import { foundBy } from './found.fixture.ts'
import { lostUpdate } from './lost-update.ts'
import { stateInMemory } from './state-in-memory.ts'

const CARDS = `import { InjectRepository } from '@nestjs/typeorm'
import type { Repository } from 'typeorm'
export class CardRepository {
  constructor(@InjectRepository(Card) private readonly cards: Repository<Card>) {}
  async findByOwner(owner: string) { return this.cards.findOne({ where: { owner } }) }
  async createCard(owner: string) { return this.cards.insert({ owner }) }
}
`
const SERVICE = `import { CardRepository } from './cards'
export class CardService {
  constructor(private readonly repository: CardRepository) {}
  findOne(owner: string) { return this.repository.findByOwner(owner) }
  create(owner: string) { return this.repository.createCard(owner) }
}
`
const DESK = `import { CardService } from './service'
export class Desk {
  constructor(private readonly service: CardService) {}
  async open(owner: string) {
    const known = await this.service.findOne(owner)
    if (known) throw new Error('known')
    return await this.service.create(owner)
  }
}
`
const entity = (column: string, base = ''): string =>
  `import { Column, Entity, JoinColumn, OneToOne, PrimaryGeneratedColumn } from 'typeorm'\n${base}@Entity()\nexport class Card {\n  @PrimaryGeneratedColumn() id: number\n  ${column}\n}\n`

describe('rows through the layers below', () => {
  test.each([
    ['looked for and made two layers below', entity('@Column() owner: string'), ['strong desk.ts:5']],
    ['a unique column', entity('@Column({ unique: true }) owner: string'), []],
    [
      'QK4: a unique column with another decorator before it',
      entity("@ApiProperty({ example: 'a' })\n  @Column({ unique: true })\n  owner: string\n  @Column() title: string"),
      [],
    ],
    ['QK4: a one-to-one relation', entity('@OneToOne(() => Owner) @JoinColumn() owner: Owner'), []],
    ['QK4: the other side of one', entity('@OneToOne(() => Owner) owner: Owner'), ['strong desk.ts:5']],
    [
      'QK4: a column that is inherited and not unique',
      entity('@Column() title: string', 'export class Owned {\n  @Column() owner: string\n}\n').replace(
        'class Card ',
        'class Card extends Owned ',
      ),
      ['strong desk.ts:5'],
    ],
    [
      'QK4: a column that is inherited',
      entity('@Column() title: string', 'export class Owned {\n  @Column({ unique: true }) owner: string\n}\n').replace(
        'class Card ',
        'class Card extends Owned ',
      ),
      [],
    ],
  ])('%s', (_name, model, expected) => {
    const texts = { 'card.entity.ts': model, 'cards.ts': CARDS, 'service.ts': SERVICE, 'desk.ts': DESK }
    expect(foundBy(checkThenActRace, texts)).toEqual(expected)
  })
})

test.each([
  ['typeorm', 'this.things.save(thing)', 1],
  ['./own', 'this.things.save(thing)', 0],
  ['typeorm', 'this.things.save(id)', 0],
])('QK11: a field declared as a repository of %s that does %s', (from, saved, count) => {
  const source = `import type { Repository } from '${from}'\nimport { Account } from './rows'\nexport class Bank {\n  constructor(private readonly things: Repository<Account>) {}\n  async pay(id: string, sum: number) {\n    const thing = await this.things.findOne({ where: { id } })\n    thing.balance = thing.balance - sum\n    await ${saved}\n  }\n}\n`
  expect(foundBy(lostUpdate, { 'a.ts': source })).toHaveLength(count)
})

test('what a repository of the program does counts, not what its name says', () => {
  const texts = {
    'card.entity.ts': entity('@Column() owner: string'),
    'cards.ts': `${CARDS.replace('findByOwner(owner: string)', 'findOne({ owner }: Asked)')}`,
    'desk.ts':
      "import { CardRepository } from './cards'\nexport class Desk {\n  constructor(private readonly boxRepository: CardRepository) {}\n  async open(owner: string) {\n    const known = await this.boxRepository.findOne({ owner })\n    if (known) throw new Error('known')\n    await this.boxRepository.createCard(owner)\n  }\n}\n",
  }
  expect(foundBy(checkThenActRace, texts)).toEqual(['strong desk.ts:5'])
})

const pay = (body: string): string =>
  `export async function pay(id: string, sum: number) {\n  const account = await prisma.account.findUnique({ where: { id } })\n${body}\n}\n`

test.each([
  ['  const balance = account.balance - sum\n  await prisma.account.update({ where: { id }, data: { balance } })', 1],
  ['  await prisma.account.update({ where: { id }, data: { balance: Math.max(0, account.balance - sum) } })', 1],
  ['  await prisma.account.update({ where: { id }, data: { balance: account.balance.minus(sum) } })', 1],
  ['  await prisma.account.upsert({ where: { id }, create: { id }, update: { balance: account.balance + sum } })', 1],
  // Another field than the one that was read; and a text.
  ['  await prisma.account.update({ where: { id }, data: { closing: account.opened + sum } })', 0],
  ['  await prisma.account.update({ where: { id }, data: { balance: account.balance } })', 0],
  ["  await prisma.account.update({ where: { id }, data: { name: account.name + ' jr' } })", 0],
])('QK5: %s has %i', (body, count) => {
  expect(foundBy(lostUpdate, { 'a.ts': pay(body) })).toHaveLength(count)
})

test.each([
  ['this.balance -= sum', 1],
  ['this.last = sum', 0],
])('QK5: a row whose method does %s', (body, count) => {
  const texts = {
    'account.ts': `export class Account {\n  balance: number\n  withdraw(sum: number) { ${body} }\n}\n`,
    'a.ts':
      'export class Bank {\n  async pay(id: string, sum: number) {\n    const account = await this.accountRepository.findOne({ where: { id } })\n    account.withdraw(sum)\n    await this.accountRepository.save(account)\n  }\n}\n',
  }
  expect(foundBy(lostUpdate, texts)).toHaveLength(count)
})

const SUPABASE = "import { createClient } from '@supabase/supabase-js'\nconst db = createClient(url, key)\n"

test.each([
  [".update({ credits: user.credits - 1 }).eq('id', id)", 1],
  [".update({ credits: user.credits - 1 }).eq('id', id).eq('credits', user.credits)", 0],
  [".update({ name: 'x' }).eq('id', id)", 0],
])('QK6: a builder with %s has %i', (chain, count) => {
  const source = `${SUPABASE}export async function spend(id: string) {\n  const { data: user } = await db.from('users').select('credits').eq('id', id).single()\n  await db.from('users')${chain}\n}\n`
  expect(foundBy(lostUpdate, { 'a.ts': source })).toHaveLength(count)
})

const REFUND = (move: string, effect: string, test = "order.status !== 'PAID'"): string =>
  `export async function refund(id: string) {\n  const order = await prisma.order.findUnique({ where: { id } })\n  if (${test}) throw new Error('no')\n  ${effect}\n  ${move}\n}\n`
const MOVE = "await prisma.order.update({ where: { id }, data: { status: 'REFUNDED' } })"
const RETURNED = 'await prisma.payback.create({ data: { order: id } })'

describe('QK7: states that are moved on', () => {
  test.each([
    ['a row is made beside it', REFUND(MOVE, RETURNED), ['strong a.ts:2']],
    [
      'a row is counted on',
      REFUND(MOVE, 'await prisma.wallet.update({ where: { id }, data: { balance: { increment: 5 } } })'),
      ['strong a.ts:2'],
    ],
    ['QT6: it is queued', REFUND(MOVE, 'await this.queueRefund(id)'), ['review a.ts:2']],
    ['money is sent', REFUND(MOVE, 'await stripe.refunds.refund(id)'), ['review a.ts:2']],
    ['the state is asked for', REFUND(MOVE.replace('{ id }', "{ id, status: 'PAID' }"), RETURNED), []],
    ['nothing else is done', REFUND(MOVE, ''), []],
    ['only a log is written', REFUND(MOVE, 'await prisma.auditLog.create({ data: { order: id } })'), []],
    ['another field is tested', REFUND(MOVE, RETURNED, 'order.owner !== me'), []],
    ['what is set was counted', REFUND(MOVE.replace("'REFUNDED'", 'next'), RETURNED), []],
    [
      'what is done and the move are in branches of their own',
      `export async function like(id: string) {\n  const like = await prisma.like.findUnique({ where: { id } })\n  if (like.liked === true) {\n    ${MOVE.replace('order', 'like').replace('status', 'liked').replace("'REFUNDED'", 'false')}\n  } else {\n    await prisma.notice.create({ data: { id } })\n  }\n}\n`,
      [],
    ],
    [
      'looked at under a lock',
      REFUND(MOVE, RETURNED).replace('  const order', '  await lock.acquire(id)\n  const order'),
      [],
    ],
    [
      'looked at before the transaction',
      REFUND(
        `await prisma.$transaction(async (tx) => {\n    ${MOVE.replace('prisma', 'tx')}\n  ${RETURNED.replace('prisma', 'tx')}\n  })`,
        '',
      ),
      ['strong a.ts:2'],
    ],
  ])('QK7: %s', (_name, source, expected) => {
    expect(foundBy(checkThenActRace, { 'a.ts': source })).toEqual(expected)
  })
})

test.each([
  ['const session = sessions[id]\n  return res.json(session)', 1],
  ['return res.json({})', 0],
])('an entry that is read by a name in between: %s', (body, count) => {
  const source = `import express from 'express'\nconst app = express()\nconst sessions = {}\napp.post('/in', (req, res) => {\n  sessions[req.body.id] = req.body\n  res.json({})\n})\napp.get('/me/:id', (req, res) => {\n  const id = req.params.id\n  ${body}\n})\napp.listen(80)\n`
  expect(
    foundBy(stateInMemory, {
      'src/a.ts': source,
      'docker-compose.yml': 'services:\n  a:\n    build: .\n    deploy:\n      replicas: 2\n',
    }),
  ).toHaveLength(count)
})
