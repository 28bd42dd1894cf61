import { background, createEnv, Mesh } from '@ripstop/kernel'
import { expect, test } from 'vitest'
import { until } from '../testing/processes.ts'
import { createWebhookLinks } from './links.ts'

test('WK12: a link is down while every receiver is silent, up with the first answer, and tells why it was down', async () => {
  const mesh = new Mesh(createEnv())
  const { heard } = createWebhookLinks({ mesh })
  heard('t1', 'there', undefined)
  const link = mesh.links().find(({ name }) => name === 'webhooks.t1')
  await until('it is up', () => link?.snapshot().state === 'up')
  for (let silent = 0; silent < 19; silent++) heard('t1', 'unclear', 'no connection: ECONNREFUSED')
  heard('t1', 'there', undefined)
  for (let silent = 0; silent < 19; silent++) heard('t1', 'unclear', 'no connection: ECONNREFUSED')
  expect(link?.snapshot().state).toBe('up')
  heard('t1', 'missing', 'no connection: ENOTFOUND')
  const shown = await until('it is down', () => {
    const { state, why } = link?.snapshot() ?? {}
    return state !== 'up' && why?.includes('ENOTFOUND') === true && why
  })
  expect(shown).toContain('20 attempts in a row')
  heard('t1', 'there', undefined)
  await until('it is up again', () => link?.snapshot().state === 'up')
  await mesh.drain(ctxOf(mesh))
})

test('there are at most 64 links of tenants, and one for all the others', async () => {
  const mesh = new Mesh(createEnv())
  const { heard } = createWebhookLinks({ mesh })
  for (let tenant = 0; tenant < 200; tenant++) heard(`t${tenant}`, 'there', undefined)
  expect(mesh.links()).toHaveLength(65)
  expect(mesh.links().at(-1)?.name).toBe('webhooks.others')
  await mesh.drain(ctxOf(mesh))
})

function ctxOf(mesh: Mesh) {
  return background(mesh.env).within(1_000)
}
