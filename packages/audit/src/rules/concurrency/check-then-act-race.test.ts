import { describe, expect, test } from 'vitest'
import { checkThenActRace } from './check-then-act-race.ts'
import { foundBy } from './found.fixture.ts'

const TABLE = 'CREATE TABLE members (id serial primary key, email text, team text);'
const UNIQUE = 'CREATE TABLE members (id serial primary key, email text unique, team text);'
const PRISMA = 'model Member {\n  id Int @id\n  email String\n}'

const seekAndMake = (body: string) => `export async function join(email: string, team: string) {\n${body}\n}`
const PRISMA_RACE = seekAndMake(`  const known = await prisma.member.findFirst({ where: { email } })
  if (known) throw new Error('known')
  return prisma.member.create({ data: { email, team } })`)
const ALCHEMY_RACE = `from sqlalchemy.orm import Session
def join(db, email):
    known = db.query(Member).filter(Member.email == email).first()
    if known is None:
        db.add(Member(email=email))
        db.commit()
`
const MODEL = (column: string) => `class Member(Base):
    __tablename__ = 'members'
    id = Column(Integer, primary_key=True)
    email = Column(String${column})
`

describe('CU1: looked for, then made', () => {
  test.each([
    ['Prisma', { 'a.ts': PRISMA_RACE, 'schema.prisma': PRISMA }, ['strong a.ts:2']],
    ['SQLAlchemy', { 'a.py': ALCHEMY_RACE, 'model.py': MODEL('') }, ['strong a.py:3']],
    [
      'Django',
      {
        'a.py':
          'def join(email):\n    if not Member.objects.filter(email=email).exists():\n        Member.objects.create(email=email)\n',
        'model.py': 'class Member(models.Model):\n    email = models.EmailField()\n',
      },
      ['strong a.py:2'],
    ],
    [
      'SQL',
      {
        'a.ts': seekAndMake(
          "  const { rows } = await pool.query('SELECT id FROM members WHERE email = $1', [email])\n  if (rows.length > 0) return\n  await pool.query('INSERT INTO members (email) VALUES ($1)', [email])",
        ),
        'a.sql': TABLE,
      },
      ['strong a.ts:2'],
    ],
    ['a table that is not seen', { 'a.ts': PRISMA_RACE }, ['review a.ts:2']],
    [
      'through functions of its own',
      {
        'a.ts': `class Members {
  findByEmail(email: string) { return prisma.member.findFirst({ where: { email } }) }
  async join(email: string) {
    const known = await this.findByEmail(email)
    if (!known) await prisma.member.create({ data: { email } })
  }
}`,
        'schema.prisma': PRISMA,
      },
      ['strong a.ts:4'],
    ],
  ])('CU1: %s', (_name, texts, expected) => {
    expect(foundBy(checkThenActRace, texts)).toEqual(expected)
  })

  test.each([
    ['a unique column', { 'a.ts': PRISMA_RACE, 'a.sql': UNIQUE }],
    ['a unique column of a class', { 'a.py': ALCHEMY_RACE, 'model.py': MODEL(', unique=True') }],
    [
      'an index that the program makes',
      { 'a.ts': PRISMA_RACE, 'b.ts': 'db.members.createIndex({ email: 1 }, { unique: true })' },
    ],
    [
      'a constraint of a migration',
      {
        'a.py': ALCHEMY_RACE,
        'model.py': MODEL(''),
        'migrations/a.py': 'op.execute("""\nALTER TABLE members\n  ADD CONSTRAINT m_key UNIQUE (email);""")',
      },
    ],
    [
      'the violation is caught',
      {
        'a.ts': seekAndMake(
          "  const known = await prisma.member.findFirst({ where: { email } })\n  try {\n    if (!known) await prisma.member.create({ data: { email } })\n  } catch (error) { if (error.code !== 'P2002') throw error }",
        ),
        'schema.prisma': PRISMA,
      },
    ],
    [
      'a lock',
      {
        'a.ts': seekAndMake(
          '  return mutex.runExclusive(async () => {\n    const known = await prisma.member.findFirst({ where: { email } })\n    if (!known) await prisma.member.create({ data: { email } })\n  })',
        ),
        'schema.prisma': PRISMA,
      },
    ],
    [
      'a row that has to be there',
      {
        'a.ts': seekAndMake(
          "  const parent = await prisma.member.findFirst({ where: { email } })\n  if (!parent) throw new Error('none')\n  return prisma.member.create({ data: { email, team } })",
        ),
        'schema.prisma': PRISMA,
      },
    ],
    [
      'another row than was looked for',
      {
        'a.ts': seekAndMake(
          '  const known = await prisma.member.findFirst({ where: { email } })\n  if (known) return\n  return prisma.member.create({ data: { email: team } })',
        ),
        'schema.prisma': PRISMA,
      },
    ],
    ['a script', { 'scripts/a.ts': PRISMA_RACE, 'schema.prisma': PRISMA }],
  ])('CU1: silent with %s', (_name, texts) => {
    expect(foundBy(checkThenActRace, texts)).toEqual([])
  })
})

const STORE = (body: string) =>
  `import Redis from 'ioredis'\nconst redis = new Redis()\nexport async function save(id: string, next: { version: number }, expected: number) {\n${body}\n}`

test.each([
  [
    "  const current = JSON.parse(await redis.get(`s:` + id))\n  if (current.version !== expected) throw new Error('conflict')\n  await redis.set(`s:` + id, JSON.stringify(next))",
    ['strong a.ts:4'],
  ],
  [
    "  const key = 's:' + id\n  if (await redis.exists(key)) return\n  await redis.set(key, '1', 'EX', 60)",
    ['strong a.ts:5'],
  ],
  ["  const cached = await redis.get(id)\n  if (cached) return cached\n  await redis.set(id, 'none')", []],
  [
    "  if (expected > 0) {\n    const current = JSON.parse(await redis.get(id))\n    if (current.version !== expected) throw new Error('conflict')\n  }\n  await redis.set(id, JSON.stringify(next))",
    ['strong a.ts:5'],
  ],
  [
    "  if (expected > 0) {\n    const current = JSON.parse(await redis.get(id))\n    if (current.version !== expected) throw new Error('conflict')\n  } else {\n    await redis.set(id, JSON.stringify(next))\n  }",
    [],
  ],
  ['  const cached = await redis.get(id)\n  if (cached) return cached\n  await redis.set(id, await compute(id))', []],
  [
    "  const current = JSON.parse(await redis.get(id))\n  if (current.version !== expected) throw new Error('conflict')\n  await redis.eval(SCRIPT, 1, id, JSON.stringify(next))\n  await redis.set(id, 'x')",
    [],
  ],
  ["  const claimed = await redis.set(id, '1', 'EX', 60, 'NX')\n  if (!claimed) return", []],
])('CU2: %j is %j', (body, expected) => {
  expect(foundBy(checkThenActRace, { 'a.ts': STORE(body) })).toEqual(expected)
})

const APPEND = `from sqlalchemy import text
class Log:
    def append(self, stream, event):
        count = self.session.execute(text("SELECT COUNT(*) FROM events WHERE stream = :stream"), {"stream": stream}).scalar() or 0
        self.session.add(Event(stream=stream, version=count + 1))
        self.session.commit()
`
const EVENT = (extra: string) => `class Event(Base):
    __tablename__ = 'events'
    stream = Column(String)
    version = Column(Integer)
${extra}`

test.each([
  ['no unique key', EVENT(''), {}, ['strong a.py:4']],
  ['a unique key', EVENT('    __table_args__ = (UniqueConstraint("stream", "version"),)\n'), {}, []],
  [
    'a unique key of the class that it is made from',
    `${EVENT('    __table_args__ = (UniqueConstraint("stream", "version"),)\n')}Base.metadata.create_all(engine)\n`,
    {},
    [],
  ],
  [
    'a unique key of a migration only',
    `${EVENT('')}Base.metadata.create_all(engine)\n`,
    { 'a.sql': 'CREATE TABLE events (stream text, version int, unique (stream, version));' },
    ['review a.py:4'],
  ],
])('CU3: the next number, with %s', (_name, model, more, expected) => {
  expect(foundBy(checkThenActRace, { 'a.py': APPEND, 'model.py': model, ...more })).toEqual(expected)
})

const LEND = (body: string) => `export class Lending {
  async lend(userId: number, id: number) {
    const item = await this.itemRepository.findOne({ where: { id } })
    if (!item.available) throw new Error('taken')
    ${body}
  }
}`
const MOVE = 'item.available = false\n    await this.itemRepository.save(item)'

test.each([
  [
    `${MOVE}\n    const loan = this.loanRepository.create({ userId, id })\n    return await this.loanRepository.save(loan)`,
    ['strong a.ts:3'],
  ],
  [`${MOVE}\n    await this.mails.sendReceipt(userId)`, ['review a.ts:3']],
  [`${MOVE}\n    await addPrintJob(userId)`, ['review a.ts:3']],
  [MOVE, []],
  [`item.title = 'x'\n    await this.itemRepository.save(item)\n    await this.mails.sendReceipt(userId)`, []],
  [
    `item.available = body.available\n    await this.itemRepository.save(item)\n    await this.mails.sendReceipt(userId)`,
    [],
  ],
  [`const release = await mutex.acquire()\n    ${MOVE}\n    await this.mails.sendReceipt(userId)`, []],
])('CU21: a state that is tested, and %j, is %j', (body, expected) => {
  expect(foundBy(checkThenActRace, { 'a.ts': LEND(body) })).toEqual(expected)
})

test('QL4: what stands in the other branch is not done because of the move', () => {
  const verify = (other: string): string => `def verify(uid):
    user = User.objects.filter(uid=uid).first()
    if not user:
        ${other}
    elif user.role != Role.ADMIN:
        user.role = Role.ADMIN
        user.save()
        ${other === 'pass' ? 'send_mail(user)' : 'pass'}
`
  expect(foundBy(checkThenActRace, { 'a.py': verify('pass') })).toEqual(['review a.py:2'])
  expect(foundBy(checkThenActRace, { 'a.py': verify('send_mail(user)') })).toEqual([])
})

const SERVES = "import express from 'express'\nimport { shoot } from './shots'\nconst app = express()\n"
const SHOTS = (make: string): string => `let browser
let making
export async function take() {
  ${make}
  return browser
}
export async function shoot(req, res) { res.send(await (await take()).shot(req.body.url)) }
`
const ROUTE = "app.post('/shots', shoot)\n"

test.each([
  ['if (browser) return browser\n  browser = await engine.launch()', ROUTE, ['strong shots.ts:5']],
  ['if (!browser) {\n    browser = await engine.launch()\n  }', ROUTE, ['strong shots.ts:5']],
  ['browser ??= await engine.launch()', ROUTE, ['strong shots.ts:4']],
  // The promise is kept; a mark of its own; made at start; nobody asks; what is made may well be made twice.
  ['if (!making) making = engine.launch()\n  browser = await making', ROUTE, []],
  ['if (making || browser) return browser\n  making = true\n  browser = await engine.launch()', ROUTE, []],
  [
    'if (browser) return browser\n  browser = await engine.launch()',
    `import { take } from './shots'\ntake()\n${ROUTE}`,
    [],
  ],
  ['if (browser) return browser\n  browser = await engine.launch()', '', []],
  ['if (browser) return browser\n  browser = await engine.read()', ROUTE, []],
])('QV11: what is made when it is first needed, %j with %j, is %j', (make, route, expected) => {
  expect(foundBy(checkThenActRace, { 'app.ts': `${SERVES}${route}`, 'shots.ts': SHOTS(make) })).toEqual(expected)
})
