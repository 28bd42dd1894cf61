import { background, createEnv, Mesh } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { createWebhookLinks } from './links.ts'

const nameOf = async (tenantId: string) => tenantId
const find = (mesh: Mesh, name: string) =>
  until(`there is ${name}`, () => mesh.links().find((link) => link.name === name))

test('WK12: a link is down while every receiver is silent, up with the first answer, and tells why it was down', async () => {
  const mesh = new Mesh(createEnv())
  const { heard } = createWebhookLinks({ mesh, nameOf })
  heard('t1', 'there', undefined)
  const link = await find(mesh, 'webhooks.t1')
  await until('it is up', () => link.snapshot().state === 'up')
  for (let silent = 0; silent < 19; silent++) heard('t1', 'unclear', 'no connection: ECONNREFUSED')
  heard('t1', 'there', undefined)
  for (let silent = 0; silent < 19; silent++) heard('t1', 'unclear', 'no connection: ECONNREFUSED')
  expect(link.snapshot().state).toBe('up')
  heard('t1', 'missing', 'no connection: ENOTFOUND')
  const shown = await until('it is down', () => {
    const { state, why } = link.snapshot()
    return state !== 'up' && why?.includes('ENOTFOUND') === true && why
  })
  expect(shown).toContain('20 attempts in a row')
  heard('t1', 'there', undefined)
  await until('it is up again', () => link.snapshot().state === 'up')
  await mesh.drain(ctxOf(mesh))
})

test('there are at most 64 links of tenants, and one for all the others', async () => {
  const mesh = new Mesh(createEnv())
  const { heard } = createWebhookLinks({ mesh, nameOf })
  for (let tenant = 0; tenant < 200; tenant++) heard(`t${tenant}`, 'there', undefined)
  await until('all are there', () => mesh.links().length === 65)
  expect(mesh.links().filter(({ name }) => name === 'webhooks.others')).toHaveLength(1)
  await mesh.drain(ctxOf(mesh))
})

test('a link has the name of its tenant, which is asked for until it is known; a tenant called others takes nothing from the others', async () => {
  const mesh = new Mesh(createEnv())
  let asked = 0
  const names: Readonly<Record<string, string>> = { t0: 'shop', t1: 'others' }
  const { heard } = createWebhookLinks({
    mesh,
    nameOf: async (tenantId) => {
      if (++asked < 3) throw new Error('away')
      return names[tenantId]
    },
  })
  await until('it is known', () => {
    heard('t0', 'there', undefined)
    return mesh.links().length > 0
  })
  expect(asked).toBe(3)
  for (let tenant = 1; tenant < 70; tenant++) heard(`t${tenant}`, 'there', undefined)
  await until('all are there', () => mesh.links().length === 65)
  expect(mesh.links().map(({ name }) => name)).toEqual(
    expect.arrayContaining(['webhooks.shop', 'webhooks.t1', 'webhooks.t63', 'webhooks.others']),
  )
  await mesh.drain(ctxOf(mesh))
})

function ctxOf(mesh: Mesh) {
  return background(mesh.env).within(1_000)
}
