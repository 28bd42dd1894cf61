import { expect, test } from 'vitest'
import { dbNoTimeout } from './db-no-timeout.ts'
import { foundBy } from './deadlines.fixture.ts'
import { rpcNoTimeout } from './rpc-no-timeout.ts'

const ORM = "import { TypeOrmModule } from '@nestjs/typeorm'\n"
const READS = 'await shop.find()\n'

test.each([
  [`${ORM}TypeOrmModule.forRoot({ type: 'postgres', host: 'db' })\n`, ['strong 2']],
  [`${ORM}TypeOrmModule.forRootAsync({ useFactory: (c) => ({ type: 'postgres', host: c.host }) })\n`, ['strong 2']],
  [
    `${ORM}TypeOrmModule.forRootAsync({\n  useFactory: (c) => {\n    return { type: 'postgres', host: c.host }\n  },\n})\n`,
    ['strong 2'],
  ],
  [
    `${ORM}TypeOrmModule.forRootAsync({ useFactory: () => ({ type: 'postgres', connectTimeoutMS: 5000, extra: { statement_timeout: 5000 } }) })\n`,
    [],
  ],
  [`${ORM}TypeOrmModule.forRootAsync({ useFactory: (c) => c.get('db') })\n`, []],
  [`${ORM}TypeOrmModule.forRootAsync({ useClass: Settings })\n`, []],
  [`${ORM}TypeOrmModule.forRoot()\n`, []],
  [`${ORM}TypeOrmModule.forRoot({ type: 'sqlite', database: 'a.db' })\n`, []],
  ["import postgres from 'postgres'\nexport const sql = postgres(process.env.DATABASE_URL)\n", ['strong 2']],
  [
    "import postgres from 'postgres'\nexport const sql = postgres(url, { connection: { statement_timeout: 5000 } })\n",
    [],
  ],
])('QK3: %j has %j', (source, expected) => {
  expect(foundBy(dbNoTimeout, { 'src/a.ts': `${source}${READS}` })).toEqual(expected)
})

const client = (use: string): Readonly<Record<string, string>> => ({
  'package.json': '{"dependencies":{"@nestjs/microservices":"10.0.0"}}',
  'src/a.ts': `import { type ClientProxy } from '@nestjs/microservices'\nimport { firstValueFrom, timeout } from 'rxjs'\nexport class Shop {\n  constructor(private readonly stock: ClientProxy) {}\n  async close(id: string) {\n    ${use}\n  }\n}\n`,
})

test.each([
  ["return await firstValueFrom(this.stock.send('close', id))", ['strong 6']],
  ["return await firstValueFrom(this.stock.send('close', id).pipe(timeout(5000)))", []],
  // It is never sent: that is another finding.
  ["this.stock.send('close', id)", []],
])('a client of Nest: %s', (use, expected) => {
  expect(foundBy(rpcNoTimeout, client(use))).toEqual(expected)
})

test.each([
  ['this.stock.takeOne({ id })', ['strong 9']],
  ['this.stock.takeOne({ id }).pipe(timeout(5000))', []],
])('a client that ClientGrpc gives: %s', (use, expected) => {
  const source = `import { type ClientGrpc } from '@nestjs/microservices'\nimport { firstValueFrom, timeout } from 'rxjs'\nexport class Shop {\n  private stock: Stock\n  constructor(private readonly grpc: ClientGrpc) {}\n  onModuleInit() {\n    this.stock = this.grpc.getService<Stock>('Stock')\n  }\n  async take(id: string) { return await firstValueFrom(${use}) }\n}\n`
  expect(foundBy(rpcNoTimeout, { 'src/a.ts': source })).toEqual(expected)
})
