// `ripstop keys`: API keys straight in the database, so that the first one can be made before any exists.

import { parseArgs } from 'node:util'
import { background, type Ctx, createEnv, Mesh, RipstopError } from '@ripstop/kernel'
import { type AccessService, createAccessService, createScopeList, DEFAULT_TENANT_ID, keyEnvironmentOf } from '#access'
import { type Config, loadConfig } from '#platform/config'
import { createPostgresLink, readRunningPostgres, startMigrations } from '#platform/postgres'
import { createLog } from '#platform/telemetry'
import { type CommandDoc, formatTable, type Terminal } from './terminal.ts'

const PATIENCE_MS = 15_000
const LIST_MAX = 1_000
const DAY_MS = 86_400_000
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

const OPTIONS = {
  config: { type: 'string' },
  name: { type: 'string' },
  scopes: { type: 'string' },
  tenant: { type: 'string' },
  'expires-days': { type: 'string' },
} as const

export const keys: CommandDoc = {
  usage:
    'keys create --name NAME --scopes A,B [--tenant NAME] [--expires-days N] | list | revoke KEY_ID [--config FILE]',
  summary: 'make, list and revoke API keys; a secret is shown once',
  run: async (terminal) => {
    const { values, positionals } = parseArgs({ args: [...terminal.argv], options: OPTIONS, allowPositionals: true })
    const [verb, keyId] = positionals
    const config = loadConfig({ env: terminal.env, cwd: terminal.cwd, configPath: values.config })
    switch (verb) {
      case 'create':
        return await withAccess(config, (access, ctx) => create(terminal, access, ctx, values))
      case 'list':
        return await withAccess(config, (access, ctx) => list(terminal, access, ctx, values.tenant))
      case 'revoke':
        if (keyId !== undefined)
          return await withAccess(config, (access, ctx) =>
            revoke(terminal, access, ctx, { keyId, tenant: values.tenant }),
          )
        break
    }
    terminal.error(`usage: ripstop ${keys.usage}\n`)
    return 2
  },
}

type Values = { readonly [Name in keyof typeof OPTIONS]?: string | undefined }

/** Whoever can read the state directory or DATABASE_URL may do everything: that is the operator. */
async function operator(access: AccessService, ctx: Ctx, tenant: string | undefined) {
  const tenantId = tenant === undefined ? DEFAULT_TENANT_ID : await access.findTenant(ctx, tenant)
  return { tenantId, actor: 'cli', keyId: undefined, scopes: ['admin'] }
}

async function create(terminal: Terminal, access: AccessService, ctx: Ctx, values: Values): Promise<number> {
  if (values.name === undefined || values.scopes === undefined) {
    terminal.error('a key needs --name and --scopes, for example: ripstop keys create --name ci --scopes keys:read\n')
    return 2
  }
  const days = values['expires-days'] === undefined ? undefined : Number(values['expires-days'])
  if (days !== undefined && !(days > 0))
    throw new RipstopError('BAD_REQUEST', '--expires-days takes a number of days above 0')
  const { tenantId } = await operator(access, ctx, values.tenant)
  const asking = { principal: await operator(access, ctx, undefined) }
  const { key, secret } = await access.createKey(ctx, asking, {
    name: values.name,
    scopes: values.scopes.split(',').map((scope) => scope.trim()),
    tenantId,
    ...(days === undefined ? {} : { expiresWallMs: ctx.env.clock.wallMs() + days * DAY_MS }),
  })
  terminal.out(`${secret}\n`)
  terminal.error(`key ${key.keyId} (${key.name}). This is the only time that its secret is shown.\n`)
  return 0
}

async function list(terminal: Terminal, access: AccessService, ctx: Ctx, tenant: string | undefined): Promise<number> {
  const found = await access.listKeys(ctx, await operator(access, ctx, tenant), { after: undefined, limit: LIST_MAX })
  const day = (wallMs: number | undefined): string =>
    wallMs === undefined ? '' : new Date(wallMs).toISOString().slice(0, 16)
  const rows = found.map((key) => [
    key.keyId,
    key.prefix,
    key.name,
    key.scopes.join(','),
    day(key.createdWallMs),
    day(key.expiresWallMs),
    day(key.lastUsedWallMs),
    key.revokedWallMs === undefined ? '' : 'revoked',
  ])
  terminal.out(`${formatTable([['ID', 'PREFIX', 'NAME', 'SCOPES', 'CREATED', 'EXPIRES', 'LAST USED', ''], ...rows])}\n`)
  return 0
}

interface Revocation {
  readonly keyId: string
  readonly tenant: string | undefined
}

async function revoke(
  terminal: Terminal,
  access: AccessService,
  ctx: Ctx,
  { keyId, tenant }: Revocation,
): Promise<number> {
  if (!UUID.test(keyId)) throw new RipstopError('BAD_REQUEST', 'a key is named by its id: ripstop keys list shows it')
  const key = await access.revokeKey(ctx, { principal: await operator(access, ctx, tenant) }, keyId)
  terminal.out(`key ${key.keyId} (${key.name}) is revoked\n`)
  return 0
}

/** Access on the configured database, or on the embedded one of a mesh that runs. */
async function withAccess(config: Config, work: (access: AccessService, ctx: Ctx) => Promise<number>): Promise<number> {
  const env = createEnv()
  const mesh = new Mesh(env)
  const postgres = createPostgresLink({ mesh, postgres: config.postgres })
  if (config.postgres.url === undefined) {
    const running = await readRunningPostgres(config.server.stateDir)
    if (running === undefined) {
      throw new RipstopError('LINK_DOWN', `no mesh runs on ${config.server.stateDir}: start it, or set DATABASE_URL`)
    }
    postgres.moveTo(running.url)
  }
  using ctx = background(env).within(PATIENCE_MS)
  postgres.link.start()
  const log = createLog({ level: 'error', format: 'text', processName: 'cli' })
  try {
    await postgres.link.whenUp(ctx)
    await using migrations = startMigrations({ env, log, postgres })
    await migrations.done
    const environment = keyEnvironmentOf(config.server.environment)
    const allScopes = createScopeList(config.routes.flatMap(({ scopes }) => scopes))
    return await work(createAccessService({ env, link: postgres.link, environment, allScopes }), ctx)
  } finally {
    await mesh.drain(background(env).within(1_000))
    log.flush()
  }
}
