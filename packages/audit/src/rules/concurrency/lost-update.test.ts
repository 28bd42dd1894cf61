import { expect, test } from 'vitest'
import { foundBy } from './found.fixture.ts'
import { lostUpdate } from './lost-update.ts'

const REDIS = (body: string) =>
  `import Redis from 'ioredis'\nconst redis = new Redis()\nexport async function touch(id: string, patch: object) {\n${body}\n}`

test.each([
  [
    '  const room = JSON.parse(await redis.get(id))\n  room.seats -= 1\n  await redis.set(id, JSON.stringify(room))',
    ['strong a.ts:6'],
  ],
  [
    '  const room = JSON.parse((await redis.get(id)) ?? "{}")\n  const next = { ...room, ...patch }\n  await redis.set(id, JSON.stringify(next))',
    ['strong a.ts:6'],
  ],
  ['  const count = Number(await redis.get(id))\n  await redis.set(id, count + 1)', ['strong a.ts:5']],
  ['  const room = await redis.get(id)\n  await redis.set(id, room, "EX", 60)', []],
  ['  const room = await redis.get(id)\n  if (!room) await redis.set(id, { ...room, ...patch })', []],
  [
    '  await lock.acquire(id)\n  const room = JSON.parse(await redis.get(id))\n  room.seats -= 1\n  await redis.set(id, JSON.stringify(room))',
    [],
  ],
  ['  await redis.incr(id)', []],
])('CU4: %j is %j', (body, expected) => {
  expect(foundBy(lostUpdate, { 'a.ts': REDIS(body) })).toEqual(expected)
})

test('CU4: the cache of Django is read, raised and written in two steps too', () => {
  const limit = (body: string, from = 'django.core.cache'): Readonly<Record<string, string>> => ({
    'a.py': `from ${from} import cache\ndef allow(self, key):\n    cache = self.of()\n${body}`,
  })
  const counted = '    seen = cache.get(key, {"n": 0})\n    seen["n"] += 1\n    cache.set(key, seen, 60)\n'
  expect(foundBy(lostUpdate, limit(counted))).toEqual(['strong a.py:6'])
  expect(foundBy(lostUpdate, limit(counted, 'lru'))).toEqual([])
  expect(foundBy(lostUpdate, limit('    cache.add(key, 0, 60)\n    cache.incr(key)\n'))).toEqual([])
})

const PAY = (body: string) => `export async function pay(id: string, sum: number) {\n${body}\n}`

test.each([
  [
    'a.ts',
    PAY('  const account = await Account.findOne({ id })\n  account.balance -= sum\n  await account.save()'),
    ['strong a.ts:3'],
  ],
  [
    'a.ts',
    PAY(
      '  const account = await prisma.account.findUnique({ where: { id } })\n  await prisma.account.update({ where: { id }, data: { balance: account.balance - sum } })',
    ),
    ['strong a.ts:3'],
  ],
  ['a.ts', PAY('  await prisma.account.update({ where: { id }, data: { balance: { decrement: sum } } })'), []],
  [
    'a.ts',
    PAY(
      '  const account = await prisma.account.findUnique({ where: { id } })\n  await prisma.account.updateMany({ where: { id, version: account.version }, data: { balance: account.balance - sum } })',
    ),
    [],
  ],
  ['a.ts', PAY('  const account = await Account.findOne({ id })\n  account.name = "x"\n  await account.save()'), []],
  [
    'a.py',
    'def pay(id, total):\n    account = Account.objects.get(id=id)\n    account.balance = account.balance - total\n    account.save()\n',
    ['strong a.py:3'],
  ],
  [
    'a.py',
    "def pay(id, total):\n    account = Account.objects.get(id=id)\n    account.balance = F('balance') - total\n    account.save()\n",
    [],
  ],
  [
    'a.py',
    'def pay(id, total):\n    account = Account.objects.select_for_update().get(id=id)\n    account.balance -= total\n    account.save()\n',
    [],
  ],
  [
    'a.py',
    'def pay(db, id, total):\n    account = db.query(Account).filter(Account.id == id).first()\n    account.balance -= total\n    db.commit()\n',
    ['strong a.py:3'],
  ],
  [
    'a.py',
    'def pay(db, id, total):\n    account = db.query(Account).filter(Account.id == id).with_for_update().first()\n    account.balance -= total\n    db.commit()\n',
    [],
  ],
  [
    'a.py',
    'def pay(db, id):\n    spend(db, id)\n    db.commit()\n\ndef spend(db, id):\n    account = db.query(Account).filter(Account.id == id).first()\n    account.balance -= 1\n',
    ['strong a.py:7'],
  ],
  [
    'a.py',
    'def spend(db, id):\n    account = db.query(Account).filter(Account.id == id).first()\n    account.balance -= 1\n    return account\n',
    [],
  ],
  [
    'a.py',
    'def mend(db, report):\n    found = {u.id: u for u in db.query(User).all()}\n    report = check(found)\n    report.errors += 1\n    db.commit()\n',
    [],
  ],
  ['a.py', 'def count(items):\n    stats = Stats()\n    stats.total += 1\n    return stats\n', []],
])('CU5: %s %j is %j', (path, text, expected) => {
  expect(foundBy(lostUpdate, { [path]: text })).toEqual(expected)
})

const MODEL = (type: string) => `class Plan(Base):\n    __tablename__ = 'plans'\n    settings = Column(${type})\n`

test.each([
  ['JSONB', '    plan.settings["a"] = 1\n    db.commit()\n', ['strong a.py:2']],
  ['JSON', '    plan.settings.update(a=1)\n    db.commit()\n', ['strong a.py:2']],
  ['JSON', '    plan.settings["a"] = 1\n    flag_modified(plan, "settings")\n    db.commit()\n', []],
  ['JSON', '    plan.settings = {**plan.settings, "a": 1}\n    db.commit()\n', []],
  ['MutableDict.as_mutable(JSON)', '    plan.settings["a"] = 1\n    db.commit()\n', []],
  ['JSON', '    plan.settings["a"] = 1\n', []],
  ['JSON', '    plan.settings = dict(plan.settings)\n    plan.settings["a"] = 1\n    db.commit()\n', []],
  [
    'JSON)\n\nclass Other(Base):\n    settings = Column(MutableDict.as_mutable(JSON)',
    '    plan.settings["a"] = 1\n    db.commit()\n',
    [],
  ],
])('CU6: of %s, %j is %j', (type, body, expected) => {
  expect(foundBy(lostUpdate, { 'model.py': MODEL(type), 'a.py': `def change(db, plan):\n${body}` })).toEqual(expected)
})

test('CU7: the version that a method takes is left out by who has read before', () => {
  const store =
    'export class Rooms {\n  async save(id: string, room: object, expectedVersion?: number) { if (expectedVersion) check(id) }\n}'
  const use = (call: string) =>
    `export class Doors {\n  async open(id: string) {\n    const room = await this.rooms.get(id)\n    room.open = true\n    await this.rooms.save(${call})\n  }\n}`
  expect(foundBy(lostUpdate, { 'rooms.ts': store, 'doors.ts': use('id, room') })).toEqual(['strong doors.ts:5'])
  expect(foundBy(lostUpdate, { 'rooms.ts': store, 'doors.ts': use('id, room, room.version') })).toEqual([])
  expect(foundBy(lostUpdate, { 'rooms.ts': store, 'doors.ts': use('id, fresh') })).toEqual([])
})

test('QT7: rows of Drizzle are read and written back', () => {
  const pay = (set: string, more = '', module = 'drizzle-orm'): readonly string[] =>
    foundBy(lostUpdate, {
      'a.ts': `import { eq } from '${module}'\nexport async function pay(id: number, cost: number) {\n  const [row] = await db.select({ balance: wallets.balance }).from(wallets).where(eq(wallets.id, id))${more}\n  const balance = row?.balance ?? 0\n  await db.update(wallets).set({ balance: ${set} }).where(eq(wallets.id, id))\n}`,
    })
  expect(pay('balance - cost')).toEqual(['strong a.ts:5'])
  expect(pay('cost')).toEqual([])
  expect(pay('balance - cost', ".for('update')")).toEqual([])
  expect(pay('balance - cost', '', 'elsewhere')).toEqual([])
})
