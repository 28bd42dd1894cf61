import { randomBytes } from 'node:crypto'
import { chmod, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeScratch } from '../../testing/processes.ts'
import { loadMasterKeys, masterKeyProblem } from './master-key.ts'

const invalid = expect.objectContaining({ code: 'CONFIG_INVALID' })

test('SE3: a key is made once, however many ask at once, and only its owner can read it', async () => {
  await using scratch = await makeScratch()
  const stateDirectory = join(scratch.path, 'state')
  const source = { given: [], environment: 'development', stateDirectory } as const
  const made = await Promise.all(Array.from({ length: 8 }, () => loadMasterKeys(source)))
  const [[first] = []] = made
  expect(first).toHaveLength(32)
  for (const keys of made) expect(keys).toEqual([first])
  expect(await readdir(stateDirectory)).toEqual(['master.key'])
  expect((await stat(join(stateDirectory, 'master.key'))).mode & 0o777).toBe(0o600)
  expect(await loadMasterKeys(source)).toEqual([first])
})

test('SE3: production without a given key is refused, also where a made one lies about', async () => {
  await using scratch = await makeScratch()
  const stateDirectory = scratch.path
  await loadMasterKeys({ given: [], environment: 'development', stateDirectory })
  const production = { given: [], environment: 'production', stateDirectory } as const
  await expect(loadMasterKeys(production)).rejects.toEqual(invalid)
  const given = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')]
  expect(await loadMasterKeys({ ...production, given })).toEqual(given.map((text) => Buffer.from(text, 'base64')))
})

test('SE3: a key that others can read, or that is none, is refused, and never told', async () => {
  await using scratch = await makeScratch()
  const source = { given: [], environment: 'development', stateDirectory: scratch.path } as const
  const path = join(scratch.path, 'master.key')
  await loadMasterKeys(source)
  await chmod(path, 0o644)
  await expect(loadMasterKeys(source)).rejects.toThrow(/chmod 600/)
  await chmod(path, 0o600)
  await writeFile(path, 'half a k')
  const error = await loadMasterKeys(source).catch((thrown: unknown) => thrown)
  expect(error).toEqual(invalid)
  expect(String(error)).not.toContain('half a k')
})

test('what is wrong with given keys is said without showing them', () => {
  const good = randomBytes(32).toString('base64')
  const environment = 'development'
  expect(masterKeyProblem({ given: [good], environment })).toBeUndefined()
  for (const wrong of ['', 'secret', randomBytes(31).toString('base64'), good.slice(0, -1), ` ${good}`]) {
    const problem = masterKeyProblem({ given: [good, wrong], environment })
    expect(problem).toMatch(/master key 2/)
    if (wrong !== '') expect(problem).not.toContain(wrong)
  }
  expect(masterKeyProblem({ given: [good, good], environment })).toMatch(/twice/)
  expect(masterKeyProblem({ given: [], environment: 'production' })).toMatch(/production/)
})
