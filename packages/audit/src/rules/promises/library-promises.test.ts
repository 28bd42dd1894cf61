import { describe, expect, test } from 'vitest'
import { repositoryOf } from '../../repository/repository.fixture.ts'
import { foundIn } from '../found.fixture.ts'
import { floatingPromise } from './floating-promise.ts'
import { unhandledRejection } from './unhandled-rejection.ts'

const found = (source: string): readonly string[] => foundIn(floatingPromise, { 'src/a.ts': source })
const typed = (from: string, type: string, body: string): string =>
  `import { ${type.replace(/<.*/, '')} } from '${from}'\nexport class Shop {\n  constructor(private readonly items: ${type}) {}\n  async close(id: string) {\n    ${body}\n  }\n}\n`

describe('promises of libraries', () => {
  test.each([
    [typed('typeorm', 'Repository<Item>', 'this.items.update({ id }, { closed: true })'), ['strong 5']],
    [typed('mongoose', 'Model<Item>', 'this.items.create({ id })'), ['strong 5']],
    [typed('bullmq', 'Queue', "this.items.add('close', { id })"), ['strong 5']],
    [
      "import { Repository } from 'typeorm'\nclass Items extends Repository<Item> {}\nexport class Shop {\n  items: Items\n  close() {\n    this.items.delete(1)\n  }\n}\n",
      ['strong 6'],
    ],
    [
      "import { NestFactory } from '@nestjs/core'\nexport async function serve() {\n  const app = await NestFactory.create(Shop)\n  app.listen(80)\n}\n",
      ['strong 4'],
    ],
    [
      "import { createTransport } from 'nodemailer'\nconst mail = createTransport({})\nexport function tell(to: string) {\n  mail.sendMail({ to })\n}\n",
      ['strong 4'],
    ],
  ])('QK1: %j has %j', (source, expected) => {
    expect(found(source)).toEqual(expected)
  })

  test.each([
    typed('./items', 'Repository', 'this.items.update({ id }, { closed: true })'),
    typed('typeorm', 'Repository<Item>', 'await this.items.update({ id }, { closed: true })'),
    typed('typeorm', 'Repository<Item>', 'this.items.create({ id })'),
    typed('@nestjs/microservices', 'ClientProxy', "this.items.emit('closed', id)"),
    typed('typeorm', 'Repository<Item>', 'void this.items.delete(id)'),
  ])('QK1: %j is silent', (source) => {
    expect(found(source)).toEqual([])
  })

  test.each([
    [typed('@nestjs/microservices', 'ClientProxy', "this.items.send('close', id)")],
    [typed('@nestjs/axios', 'HttpService', "this.items.post('/close', { id })")],
    [typed('mongoose', 'Model<Item>', 'this.items.updateOne({ id }, { closed: true })')],
    [
      "import { PrismaClient } from '@prisma/client'\nclass Db extends PrismaClient {}\nclass Shop {\n  constructor(private readonly db: Db) {}\n  close(id: string) {\n    this.db.item.delete({ where: { id } })\n  }\n}\n",
    ],
  ])('QK2: %j never begins', (source) => {
    const [only, ...more] = [...floatingPromise.run(repositoryOf({ 'src/a.ts': source }))]
    expect(more).toEqual([])
    expect(only?.title).toBe('Work is asked for and never begins')
  })

  test.each([
    typed('@nestjs/microservices', 'ClientProxy', "return this.items.send('close', id)"),
    typed('@nestjs/microservices', 'ClientProxy', "this.items.send('close', id).subscribe()"),
    typed('mongoose', 'Model<Item>', 'await this.items.updateOne({ id }, { closed: true })'),
  ])('QK2: %j begins', (source) => {
    expect(found(source)).toEqual([])
  })

  test('PM1: a promise that its executor never rejects comes to no rejection', () => {
    const told = (body: string): string =>
      `async function tell() { return await new Promise((resolve, reject) => { ${body} }) }\nexport function close() {\n  tell()\n}\n`
    expect(found(told("post('x'); resolve('done')"))).toEqual([])
    expect(found(told('post(reject); resolve(1)'))).toEqual(['strong 3'])
  })
})

test.each([
  ['extends EventEmitter', 'throw new Error(id)', ['strong 4']],
  ['extends EventEmitter', 'try { await f() } catch (error) { log(error) }', []],
  ['', 'throw new Error(id)', []],
])('QK8: a listener of a class that is %j and does %j has %j', (base, body, expected) => {
  const source = `import { EventEmitter } from 'events'\nclass Bell ${base} {\n  constructor() {\n    this.on('ring', this.ring)\n  }\n  async ring(id) { ${body} }\n}\n`
  expect(foundIn(unhandledRejection, { 'src/a.ts': source })).toEqual(expected)
})
